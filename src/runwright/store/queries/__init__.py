"""Named statements in SQLAlchemy Core, one module for each noun; every backend runs the same ones."""
