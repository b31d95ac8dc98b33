"""A workspace on this machine, and a look at it by real programs."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwright.sandbox.means import Means
from tests.scanners.ground import Tree


@pytest.fixture
def tree(means: Means) -> Iterator[Tree]:
    """Return an empty workspace."""
    root = Path(tempfile.mkdtemp(prefix="tree.", dir=means.workspaces.directory))
    root.chmod(0o755)
    yield Tree(means, root)
    shutil.rmtree(root)
