"""Every command of the README and of the guides does what the page shows, against a real server."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, shows
from tests.docs.walk import Walk, walk
from tests.house.tree import ROOT

QUICKSTART = "docs/quickstart.md"
WALKED = ("README.md", QUICKSTART, "docs/how-to/write-a-handler.md")
GUESTS = (
    "docs/concepts/events-and-streams.md",
    "docs/how-to/back-up-and-restore.md",
    "docs/how-to/keys-and-projects.md",
)
"""Pages that begin where the quickstart's server runs."""


def visited(page: str) -> list[Block]:
    """Return the blocks of a walk over a page: its own, after those of the quickstart up to the server for a guest."""
    own = blocks(page)
    if page not in GUESTS:
        return own
    begin = blocks(QUICKSTART)
    return begin[: next(place for place, block in enumerate(begin) if block.serves) + 1] + own


@pytest.fixture(scope="module", params=[pytest.param(p, marks=pytest.mark.xdist_group(p)) for p in WALKED + GUESTS])
def page(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def walked(page: str, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return walk(visited(page), tmp_path_factory.mktemp("walk"))


def test_every_command_of_the_page_succeeds(page: str, walked: Walk) -> None:
    expected = [block.where for block in visited(page) if block.language == "bash"]
    assert list(walked.printed) == expected, walked.remarks + "".join(list(walked.printed.values())[-1:])
    assert walked.server_status == "0", walked.remarks


def test_every_output_is_the_one_that_the_page_shows(page: str, walked: Walk) -> None:
    for block in blocks(page):
        if block.shown is not None:
            assert shows(block.shown, walked.printed[block.where]), f"{block.where} printed:\n{walked.printed[block.where]}"


def test_a_wrong_word_in_any_shown_output_would_be_noticed(page: str, walked: Walk) -> None:
    for block in blocks(page):
        for word in re.findall(r"[^\s…]+", block.shown or ""):
            wrong = (block.shown or "").replace(word, f"{word}~", 1)
            assert not shows(wrong, walked.printed[block.where]), f"{block.where}: {word}"


def test_every_block_of_the_page_is_executed_or_shown_output(page: str) -> None:
    spoken = "\n".join(block.script for block in blocks(page) if block.language == "bash")
    for block in blocks(page):
        if block.language == "python":
            assert block.file is not None, f"{block.where}: the first line must be a comment that names the file"
            assert block.file in spoken or f"{Path(block.file).stem}:app" in spoken, f"{block.where} is never used"
        else:
            assert block.language == "bash", f"{block.where}: a page that is walked has only commands and their output"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {line.split()[1] for page in WALKED for block in blocks(page) for line in block.make_lines if " " in line}
    assert {"run", "test", "setup"} <= named
    assert named <= targets
