-- +goose Up

-- Texts are bytea, since a text of PostgreSQL cannot hold every byte. Times are Unix
-- milliseconds, 0 for none, unless they are of the database's own clock.

-- The order in which turns were accepted.
CREATE SEQUENCE turn_id AS bigint;

-- One row per turn. More than half of each page is left for what comes later: a result then lies where its
-- message does, and a mark touches no index. As what is outdated there is used again, that takes no more room.
CREATE TABLE turn (
    id          bigint   NOT NULL,
    version     bigint   NOT NULL,
    create_time bigint   NOT NULL, -- WeChat's clock, Unix seconds
    received_at bigint   NOT NULL,
    finished_at bigint   NOT NULL,
    due         bigint   NOT NULL,
    seen        bigint   NOT NULL,
    attempt     bigint   NOT NULL,
    offered_to  bigint   NOT NULL,
    epoch       bigint   NOT NULL,
    state       smallint NOT NULL, -- store.State
    delivery    smallint NOT NULL, -- store.Delivery
    pure        boolean  NOT NULL,
    key         bytea    NOT NULL PRIMARY KEY, -- begins with the message's time, so inserts meet the same pages
    account     bytea    NOT NULL,
    openid      bytea    NOT NULL,
    original_id bytea    NOT NULL,
    msg_type    bytea    NOT NULL,
    event       bytea    NOT NULL,
    owner       bytea    NOT NULL,
    reason      bytea    NOT NULL,
    code        bytea    NOT NULL,
    body        bytea,
    pushes      bytea, -- see internal/packed
    reply       bytea,
    placeholder bytea,
    way         bytea  -- see internal/packed
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX turn_received ON turn (received_at);

-- The turns of a user, by segments of 4096: an index by user alone would have a page of its own
-- written for every message. Each segment is asked in turn.
CREATE INDEX turn_user ON turn ((id / 4096), openid);

-- Whose turns are running, and what somebody has to look at again: few at any time.
CREATE INDEX turn_running ON turn (owner, epoch) WHERE state = 1;
CREATE INDEX turn_due ON turn (due) WHERE due > 0;
CREATE INDEX turn_due_user ON turn (openid) WHERE due > 0;

-- Every node that has ever joined: its newest epoch, and when its lease ends or has ended. None is
-- forgotten, or its epochs would come again.
CREATE TABLE node (
    id    bytea       NOT NULL PRIMARY KEY,
    epoch bigint      NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What handlers have stored about a user. The user comes first: an erasure may be for all accounts.
CREATE TABLE session (
    openid  bytea  NOT NULL,
    account bytea  NOT NULL,
    version bigint NOT NULL,
    expires bigint NOT NULL,
    data    bytea  NOT NULL,
    PRIMARY KEY (openid, account)
);

CREATE INDEX session_expires ON session (expires);

-- What all nodes share and one at a time renews.
CREATE TABLE shared (
    name  bytea NOT NULL PRIMARY KEY,
    value bytea
);

-- What belongs to the database as a whole: one row.
CREATE TABLE installation (
    one        boolean NOT NULL PRIMARY KEY CHECK (one),
    salt       bytea,
    not_before bigint  NOT NULL,
    needs      integer NOT NULL -- the schema that a program has to know, at least, to use the database
);

INSERT INTO installation (one, not_before, needs) VALUES (true, 0, 1);
