"""The sandbox of this machine, and directories that its commands may pass."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """Make a directory that others may pass: commands of root become somebody else, whom those of pytest keep out."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
async def means(open_directory: Path) -> AsyncIterator[Means]:
    """Find the means of this machine."""
    found = await Means.find(Bounds(directory=open_directory, sample_s=0.02))
    yield found
    found.close()
