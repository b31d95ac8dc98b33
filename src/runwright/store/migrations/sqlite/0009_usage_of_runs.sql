-- What a run's code has reported of its model calls, added up.
ALTER TABLE runs ADD COLUMN usage BLOB;
