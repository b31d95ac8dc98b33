-- works with: 33
-- How far a runtime run has come: what its log says, kept beside it.
ALTER TABLE runs ADD COLUMN course BLOB;
