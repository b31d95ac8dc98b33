-- works with: 19
-- The loop of dependencies finds the runs that wait without passing over all that there are.
CREATE INDEX runs_waiting_for_others ON runs (run_id) WHERE state = 'waiting' AND reason = 'dependency';
