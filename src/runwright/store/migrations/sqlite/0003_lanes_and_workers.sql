-- The ready runs of a queue lie in lanes: one for each organization, queue, project, executor and handler.
CREATE TABLE lanes_of_ready (
	lane TEXT NOT NULL,
	rank FLOAT NOT NULL,
	run_id TEXT NOT NULL,
	PRIMARY KEY (lane, rank, run_id)
)
 WITHOUT ROWID;

INSERT INTO lanes_of_ready (lane, rank, run_id)
SELECT
	runs.org_id || '/' || ready.queue || '/' || runs.project_id || '/worker/'
		|| coalesce(json_extract(CAST(runs.opening AS TEXT), '$.handler'), ''),
	ready.rank,
	ready.run_id
FROM ready JOIN runs ON runs.run_id = ready.run_id;

DROP TABLE ready;

ALTER TABLE lanes_of_ready RENAME TO ready;

-- Virtual clocks of queues that were the whole server's: those of an organization's queues begin anew.
DELETE FROM turns;

CREATE TABLE paused_queues (
	queue TEXT NOT NULL,
	paused_at BIGINT NOT NULL,
	paused_by TEXT NOT NULL,
	PRIMARY KEY (queue)
)
 WITHOUT ROWID;

CREATE TABLE workers (
	worker_id TEXT NOT NULL,
	org_id TEXT NOT NULL,
	project_id TEXT,
	name TEXT NOT NULL,
	version TEXT NOT NULL,
	sdk TEXT NOT NULL,
	queues BLOB NOT NULL,
	handlers BLOB NOT NULL,
	slots INTEGER NOT NULL,
	started_at BIGINT NOT NULL,
	seen_at BIGINT NOT NULL,
	drain_at BIGINT,
	gone_at BIGINT,
	PRIMARY KEY (worker_id)
);

CREATE INDEX workers_by_org ON workers (org_id, worker_id);

-- What a job adds to its run's metadata, and where the time of a dispatch went.
ALTER TABLE runs ADD COLUMN annotations BLOB;

ALTER TABLE runs ADD COLUMN trace BLOB;

ALTER TABLE attempts ADD COLUMN trace BLOB;
