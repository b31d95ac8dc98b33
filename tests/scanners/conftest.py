"""A workspace on this machine, and a look at it by real programs."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means
from tests.scanners.ground import Tree


@pytest.fixture(scope="module")
async def means() -> AsyncIterator[Means]:
    """Find the means of this machine, in a directory that the user of commands may pass."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o711)
        found = await Means.find(Bounds(directory=Path(name), sample_s=0.02))
        yield found
        found.close()


@pytest.fixture
def tree(means: Means) -> Iterator[Tree]:
    """Return an empty workspace."""
    root = Path(tempfile.mkdtemp(prefix="tree.", dir=means.workspaces.directory))
    root.chmod(0o755)
    yield Tree(means, root)
    shutil.rmtree(root)
