"""A test that never ends fails alone, and a process of the tests that dies ends them all, and says at which test."""

import os
import subprocess
import sys
from pathlib import Path

from tests import shared

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 60

IMPATIENT = """
import pytest
from tests import patience

patience.SOFT = patience.AGAIN = 1 / 60

@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"
"""

ENDLESS = """
import asyncio, contextlib, threading
import pytest

@pytest.fixture
async def kept():
    yield
    await asyncio.to_thread(print, "cleared up")

async def test_one_that_waits_is_cancelled(kept):
    await asyncio.Event().wait()

async def test_one_that_hears_no_cancel_fails_too(kept):
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()

async def test_one_that_holds_up_its_loop_is_interrupted(kept):
    threading.Event().wait()

def test_one_without_a_loop_is_interrupted():
    threading.Event().wait()

async def test_the_next_one_is_not_disturbed(kept):
    await asyncio.sleep(0)
"""

DEADLY = """
import signal, threading
import pytest

@pytest.mark.timeout(1)
def test_one_that_cannot_be_interrupted_ends_its_process():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Event().wait()

def test_what_comes_after_it():
    pass
"""

DYING = """
import os, signal, threading
from tests import shared

def test_one_whose_process_is_killed():
    while not (shared.directory() / "stop").exists():
        threading.Event().wait(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""

LIVING = """
import threading
from tests import shared

def test_one_of_a_process_that_lives():
    while not (shared.directory() / "stop").exists():
        threading.Event().wait(0.01)

def test_what_comes_then():
    pass
"""


def session(directory: Path, *words: str, **files: str) -> str:
    """Return what a session of these files says."""
    for name, content in files.items():
        (directory / f"test_{name}.py").write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    plugins = ("-p", "tests.deaths", "-p", "tests.patience", "-p", "no:cacheprovider")
    ours = ("-c", "pyproject.toml", f"--rootdir={directory}", "--timeout=60")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *ours, *words, str(directory)],
        check=False,
        cwd=REPOSITORY,
        env={**kept, shared.NAME: str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    return ran.stdout


def test_a_test_that_never_ends_fails_alone_and_says_what_it_waits_for(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(IMPATIENT)
    told = session(tmp_path, endless=ENDLESS)
    assert "4 failed, 1 passed in" in told, told
    assert "took more than 1 s" in told
    assert "test_endless.py:11 test_one_that_waits_is_cancelled" in told
    assert told.count("cleared up") == 3, "and its fixtures are torn down"


def test_a_process_that_dies_is_reported_with_its_test_and_the_others_end_soon(tmp_path: Path):
    words = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder", "--max-worker-restart", "0")
    told = session(tmp_path, *words, deadly=DEADLY, dying=DYING, living=LIVING)
    assert "crashed while running 'test_deadly.py::test_one_that_cannot_be_interrupted_ends_its_process'" in told, told
    assert "it exited with 1" in told
    assert 'test_deadly.py", line 8 in test_one_that_cannot' in told, "and where it was"
    assert "crashed while running 'test_dying.py::test_one_whose_process_is_killed'" in told
    assert "it was ended by SIGKILL" in told
    assert "2 failed, 1 passed" in told, "what would come then is not begun"
