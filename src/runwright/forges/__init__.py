"""Where commits are handed over: repositories that take a branch, and forges that open a pull request for it."""
