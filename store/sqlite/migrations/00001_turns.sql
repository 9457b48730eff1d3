-- +goose Up

-- One row per turn. The key begins with the message's time, so inserts meet the
-- same few pages whatever the size of the table.
CREATE TABLE turn (
    key         BLOB    NOT NULL PRIMARY KEY,
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
) STRICT, WITHOUT ROWID;

-- Whose turns are running: few at any time.
CREATE INDEX turn_running ON turn (owner, epoch) WHERE state = 1;

-- Turns by time and by user. The hour in front keeps inserts in one place; a user's
-- turns are found by asking for each hour there is.
CREATE INDEX turn_user ON turn (received_at / 3600000, openid, account);

-- The newest epoch of each node.
CREATE TABLE node (
    id    TEXT    NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What belongs to the database as a whole: one row.
CREATE TABLE installation (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    salt       BLOB    NOT NULL,
    not_before INTEGER NOT NULL -- Unix milliseconds, or 0
) STRICT;
