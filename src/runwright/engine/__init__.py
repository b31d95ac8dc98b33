"""The verbs and loops of runs. Only `commit` writes."""
