-- works with: 2
-- Tickets, which every server of a cluster takes.
CREATE TABLE tickets (
    name TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    actor BYTEA NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX tickets_by_owner ON tickets (owner, until);

CREATE INDEX tickets_until ON tickets (until);
