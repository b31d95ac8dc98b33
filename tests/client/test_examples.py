"""The sample jobs do what they show."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from examples.hello import greet
from examples.index_repository import index_repository, list_files
from runwright.client.outcome import Completed, Failed
from tests.client.scripted_session import Journal, execute

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("# Words\n\n[a link](docs/a.md) and <https://example.org> words\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("words words\n")
    (tmp_path / "code.py").write_text("class A:\n    def f(self): ...\n\n\nasync def g(): ...\n")
    (tmp_path / "docs" / "broken.py").write_text("def (:\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "hidden.py").write_text("x = 1\n")
    return tmp_path


async def test_the_sample_counts_what_is_there(small: Path):
    journal = Journal()
    outcome = await execute(index_repository, journal, {"root": str(small)})
    assert isinstance(outcome, Completed)
    assert outcome.result == {
        "files": 4,
        "lines": 10,
        "words": 8,
        "links": 2,
        "functions": 2,
        "classes": 1,
        "unreadable": 1,
        "most_common": ["words", "https", "example", "class", "async"],
    }
    assert journal.of("run.progress")[-1]["percent"] == 100
    assert journal.kept["output"]["totals"]["files"] == 4


async def test_the_sample_fails_once_and_repeats_no_finished_step(small: Path):
    def run(journal: Journal, attempt: int) -> Any:
        return execute(
            index_repository, journal, {"root": str(small), "fail_once": True}, attempt=attempt, lease_epoch=attempt
        )

    journal = Journal()
    failed = await run(journal, 1)
    assert isinstance(failed, Failed)
    assert failed.retryable
    done = [data["name"] for data in journal.of("step.completed")]
    assert done == ["list files", "index ."]
    completed = await run(journal, 2)
    assert isinstance(completed, Completed)
    again = journal.of("step.completed")[len(done) :]
    assert [(data["name"], data["reused"]) for data in again] == [
        ("list files", True),
        ("index .", True),
        ("index docs", False),
    ]


async def test_the_sample_refuses_a_payload_that_is_not_its_own():
    outcome = await execute(index_repository, Journal(), {"root": 5})
    assert isinstance(outcome, Failed)
    assert outcome.error_class == "PayloadInvalid"


def test_the_sample_finds_the_files_of_this_repository():
    batches = asyncio.run(asyncio.to_thread(list_files, REPOSITORY))
    assert "examples/index_repository.py" in batches["examples"]
    assert len(batches) > 3


async def test_the_quickstart_greets():
    assert await execute(greet, Journal(), {"name": "Ada"}) == Completed({"greeting": "Hello, Ada!"})
