-- works with: 9
-- Tickets, which every server of a cluster takes.
CREATE TABLE tickets (
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    path TEXT NOT NULL,
    actor BLOB NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;

CREATE INDEX tickets_by_owner ON tickets (owner, until);

CREATE INDEX tickets_until ON tickets (until);
