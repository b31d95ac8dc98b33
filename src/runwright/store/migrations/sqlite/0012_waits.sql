-- works with: 11
-- What a run waits for, while it does.
ALTER TABLE runs ADD COLUMN wait BLOB;
