"""The worker protocol: claim, heartbeat, append and finish, for processes that execute runs elsewhere."""
