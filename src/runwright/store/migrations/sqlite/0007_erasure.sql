-- When the data of a run were erased, and the digest of its opening as it was before.
ALTER TABLE runs ADD COLUMN erased_at BIGINT;

ALTER TABLE runs ADD COLUMN genesis BLOB;
