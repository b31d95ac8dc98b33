"""What the code of a running job calls (`/sdk/v1/runs/{id}/…`), with the run token it was given."""
