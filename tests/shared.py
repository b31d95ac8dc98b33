"""The directory that the processes of a test session share, named by an environment variable."""

import os
from pathlib import Path

NAME = "RUNWRIGHT_TEST_SHARED"


def directory() -> Path:
    """Return it."""
    return Path(os.environ[NAME])
