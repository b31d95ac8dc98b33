-- works with: 4
-- What a run waits for, while it does.
ALTER TABLE runs ADD COLUMN wait BYTEA;
