"""The commands that a policy asks of a tree, beside what scanners look for."""
