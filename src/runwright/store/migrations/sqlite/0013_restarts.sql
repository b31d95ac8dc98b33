-- works with: 12
-- When a run was asked to begin again, and the preset that it was given then.
ALTER TABLE runs ADD COLUMN restart_requested_at BIGINT;
ALTER TABLE runs ADD COLUMN preset TEXT;
