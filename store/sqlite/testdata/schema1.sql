-- What Echostr made before there were late answers: schema 1.
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
CREATE TABLE turn (
    id          INTEGER NOT NULL PRIMARY KEY,
    key         BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    account     TEXT    NOT NULL,
    openid      TEXT    NOT NULL,
    original_id TEXT    NOT NULL,
    msg_type    TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    body        BLOB,
    create_time INTEGER NOT NULL, -- WeChat's clock, Unix seconds
    received_at INTEGER NOT NULL, -- Unix milliseconds
    pushes      BLOB,             -- see appendPushes in row.go
    seen        INTEGER NOT NULL,
    state       INTEGER NOT NULL, -- store.State
    pure        INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    finished_at INTEGER NOT NULL, -- Unix milliseconds, or 0
    reply       BLOB,
    reason      TEXT    NOT NULL,
    delivery    INTEGER NOT NULL, -- store.Delivery
    offered_to  INTEGER NOT NULL
) STRICT;
CREATE TABLE node (
    id    TEXT    NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE installation (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    salt       BLOB    NOT NULL,
    not_before INTEGER NOT NULL -- Unix milliseconds, or 0
) STRICT;
CREATE UNIQUE INDEX turn_key ON turn (key);
CREATE INDEX turn_running ON turn (owner, epoch) WHERE state = 1;
CREATE INDEX turn_received ON turn (received_at);
CREATE INDEX turn_user ON turn (id / 256, openid);
INSERT INTO goose_db_version VALUES (1, 0, 1, '2026-11-30 18:27:54');
INSERT INTO goose_db_version VALUES (2, 1, 1, '2026-11-30 18:27:54');
INSERT INTO turn VALUES (1, X'6B0D2D01DBC0229E2590B68E03758355F7B78787', 1, 'demo', 'o-user-1', 'gh_866835093fea', 'text', '', X'3C786D6C3E00FFE4BDA0E5A5BD20313C2F786D6C3E', 1796025601, 1796025601000, X'02D0AFBEB7C5680404904E00', 2, 1, 0, 1, 'node', 1, 0, NULL, '', 0, 0);
INSERT INTO turn VALUES (2, X'6B0D2D025124A807408EECC086F20DC01069B310', 3, 'demo', 'o-user-0', 'gh_866835093fea', 'text', '', X'3C786D6C3E00FFE4BDA0E5A5BD20323C2F786D6C3E', 1796025602, 1796025602000, X'02A0BFBEB7C5680404904E00', 2, 2, 0, 1, 'node', 1, 1796025607000, X'3C786D6C3EFE5D5D3E3C2F786D6C3E', '', 2, 2);
INSERT INTO turn VALUES (3, X'6B0D2D0349F0A14E28D2700E6DAF5773AF4C7159', 2, 'demo', 'o-user-1', 'gh_866835093fea', 'text', '', X'3C786D6C3E00FFE4BDA0E5A5BD20333C2F786D6C3E', 1796025603, 1796025603000, X'02F0CEBEB7C5680404904E00', 2, 4, 0, 1, 'node', 1, 1796025608000, NULL, 'it failed', 3, 0);
INSERT INTO turn VALUES (4, X'6B0D2D040E3FDE99260E2E6EC10B3645F68439D9', 1, 'demo', 'o-user-0', 'gh_866835093fea', 'text', '', X'3C786D6C3E00FFE4BDA0E5A5BD20343C2F786D6C3E', 1796025604, 1796025604000, X'02C0DEBEB7C5680404904E00', 2, 1, 0, 1, 'node', 1, 0, NULL, '', 0, 0);
INSERT INTO turn VALUES (5, X'6B0D2D054ED6A6C59769103B10C0C397F6E6CAEE', 2, 'demo', '', '', '', '', NULL, 1796025605, 1796025605000, X'0290EEBEB7C5680404904E00', 2, 6, 0, 1, 'node', 1, 0, NULL, '', 0, 0);
INSERT INTO node VALUES ('node', 1);
INSERT INTO installation VALUES (1, X'5060A2817245CBF02F32ADD331372CE61B6EC7A554432E0D9A00D8968C5A9DAE', 0);
PRAGMA application_id = 1164142703;
