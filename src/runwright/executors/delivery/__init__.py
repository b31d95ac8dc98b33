"""Deliveries: the tree of a run becomes a commit, a branch and a pull request, once people have allowed it."""
