"""Runtime runs: their steps over a workspace, one after the other, by the course that their log tells."""
