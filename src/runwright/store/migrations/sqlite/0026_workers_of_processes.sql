-- works with: 25
-- Whether a worker runs commands.
ALTER TABLE workers ADD COLUMN processes BOOLEAN;
