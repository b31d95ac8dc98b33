-- works with: 1
-- Artifacts in parts, and what was moved here from another store.
CREATE TABLE blobs (
    blob_id TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C",
    size BIGINT,
    put_at BIGINT NOT NULL,
    again_at BIGINT,
    PRIMARY KEY (blob_id),
    CONSTRAINT blobs_by_digest UNIQUE (digest)
);

CREATE INDEX blobs_incoming ON blobs (put_at) WHERE digest IS NULL;

CREATE TABLE blob_parts (
    blob_id TEXT COLLATE "C" NOT NULL,
    part INTEGER NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (blob_id, part)
);

-- What is sealed does not get smaller, and only what is not compressed can be read from the middle.
ALTER TABLE blob_parts ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE moves (
    move_id TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    moved_at BIGINT NOT NULL,
    tables BYTEA NOT NULL,
    PRIMARY KEY (move_id)
);
