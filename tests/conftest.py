"""What every test shares: the event loop it runs on, its PostgreSQL, its limit of time, their order."""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means
from tests import costs, deaths, patience, postgres
from tests.store.observers import Observer

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))

# A busy machine must not fail a test that is right: what is slow is found by the durations, not by a deadline, nor by
# how long it took to think of cases. Where a test says nothing else it tries 50 cases, always the same: who changes a
# line must not fail for what another one does in one case of ten thousand. The soak tries new ones, as many as told.
settings.register_profile(
    "runwright",
    deadline=None,
    max_examples=SOAK or 50,
    derandomize=not SOAK,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("runwright")

# Hundreds of processes start: where Python may not keep what it compiled, each compiles all it imports, for seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tens of thousands of tests are collected and stay: to look among them for circles that nobody needs took a tenth of
# the time of a test, and a quarter of that of the collection.
gc.set_threshold(50_000, 20, 50)

# Started in the background by a shell, a process ignores SIGINT, and so do its children: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes of this session share a PostgreSQL, tell what its tests cost, and of which a process died."""
    if not hasattr(config, "workerinput"):
        postgres.begin_session()
    for plugin in (costs, patience, deaths):
        config.pluginmanager.register(plugin)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it with the session."""
    if not hasattr(config, "workerinput"):
        postgres.end_session()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lasts as long as the session."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Test in more processes than there are cores: half of the time a test waits, for a commit or another process."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow: one that began last would leave all other cores idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """Make a directory that others may pass: commands of root become somebody else, whom those of pytest keep out."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
async def means(open_directory: Path) -> AsyncIterator[Means]:
    """Find the means of this machine to run commands in a sandbox."""
    found = await Means.find(Bounds(directory=open_directory, sample_s=0.02))
    yield found
    found.close()


@pytest.fixture
async def seen() -> AsyncIterator[Observer]:
    """Yield a look at an empty database of PostgreSQL."""
    with postgres.new_database() as url:
        seen = Observer(url)
        await seen.open()
        yield seen
        await seen.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, whose primitives the engine uses."""
    return "asyncio"
