-- +goose Up

-- One row per turn, in the order in which they were accepted: what is written at one
-- moment lies side by side, so a group of turns is few pages, whatever the
-- size of the table.
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

-- A key begins with the message's time, so here too inserts meet the same pages.
CREATE UNIQUE INDEX turn_key ON turn (key);

-- Whose turns are running: few at any time.
CREATE INDEX turn_running ON turn (owner, epoch) WHERE state = 1;

CREATE INDEX turn_received ON turn (received_at);

-- The turns of a user, by segments of 256: an index by user alone would have a page
-- of its own written for every message. Each segment is asked in turn.
CREATE INDEX turn_user ON turn (id / 256, openid);

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
