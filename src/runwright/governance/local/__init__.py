"""The gate of a repository on this machine, without a server and without a network."""
