-- +goose Up

-- Of an answer that no push could carry. Most turns have none of it.
ALTER TABLE turn ADD COLUMN due         INTEGER NOT NULL DEFAULT 0; -- Unix milliseconds, or 0
ALTER TABLE turn ADD COLUMN code        TEXT    NOT NULL DEFAULT '';
ALTER TABLE turn ADD COLUMN placeholder BLOB;
ALTER TABLE turn ADD COLUMN way         BLOB;                       -- see appendWay in row.go

-- What somebody has to look at again: few at any time, so other turns cost nothing here.
CREATE INDEX turn_due ON turn (due) WHERE due > 0;
CREATE INDEX turn_due_user ON turn (openid) WHERE due > 0;

-- What handlers have stored about a user. The user comes first: an erasure may be for all accounts.
CREATE TABLE session (
    id      INTEGER NOT NULL PRIMARY KEY,
    openid  TEXT    NOT NULL,
    account TEXT    NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL, -- Unix milliseconds
    data    BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX session_user ON session (openid, account);

CREATE INDEX session_expires ON session (expires);
