-- works with: 26
-- How far a runtime run has come: what its log says, kept beside it.
ALTER TABLE runs ADD COLUMN course BYTEA;
