"""Every command of the README and of the guides does what its page shows, against a real server."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks, shows
from tests.docs.walk import walk

QUICKSTART = "docs/quickstart.md"
GUESTS = (
    "docs/how-to/keys-and-projects.md",
    "docs/how-to/logins-and-roles.md",
    "docs/how-to/operate.md",
    "docs/how-to/observe.md",
    "docs/how-to/run-on-a-schedule.md",
    "docs/how-to/check-payloads-and-results.md",
    "docs/how-to/gather-triggers.md",
    "docs/how-to/manage-jobs.md",
    "docs/how-to/use-strait-python.md",
    "docs/how-to/verify-evidence.md",
    "docs/how-to/compare-windows-of-runs.md",
    "docs/how-to/approve-what-a-run-does.md",
)
TROUBLES = (
    "docs/concepts/dead-letters.md",
    "docs/how-to/cancel-and-replay-many.md",
    "docs/how-to/find-out-what-went-wrong.md",
    "docs/how-to/back-up-and-restore.md",
    "docs/concepts/events-and-streams.md",
)
GRAPHS = (
    "docs/how-to/let-jobs-depend-on-jobs.md",
    "docs/how-to/chain-jobs.md",
    "docs/how-to/run-a-workflow.md",
    "docs/how-to/keep-costs-in-bounds.md",
)
"""Pages whose commands go where the quickstart's server runs; a walk leads through many of them."""
WALKS = {
    "README.md": ("README.md",),
    "quickstart": (QUICKSTART,),
    "write-a-handler": ("docs/how-to/write-a-handler.md",),
    "dispatch-to-http": ("docs/how-to/dispatch-to-http.md",),
    "wait-for-events": ("docs/how-to/wait-for-events.md",),
    "call-back": ("docs/how-to/call-back.md",),
    "use-secrets": ("docs/how-to/use-secrets.md",),
    "receive-webhooks": ("docs/how-to/receive-webhooks.md",),
    "run-a-process": ("docs/how-to/run-a-process.md",),
    "talk-to-an-agent": ("docs/how-to/talk-to-an-agent.md",),
    "decide-what-an-agent-does": ("docs/how-to/decide-what-an-agent-does.md",),
    "deliver-a-run": ("docs/how-to/deliver-a-run.md",),
    "repair-a-repository": ("docs/how-to/repair-a-repository.md",),
    "run-workers-elsewhere": ("docs/how-to/run-workers-elsewhere.md",),
    "guests of the quickstart": GUESTS,
    "troubles": TROUBLES,
    "graphs of runs": GRAPHS,
}
AS_ANYBODY = ("README.md", "quickstart")
"""Walks whose programs start as anybody's do; those of the others are forked, which is half a second less for each."""
PAGES = [page for pages in WALKS.values() for page in pages]


def route(pages: tuple[str, ...]) -> list[Block]:
    """Return the blocks of a walk; guests begin with the exports, files and server of the quickstart."""
    own = [block for page in pages for block in blocks(page)]
    if pages not in (GUESTS, TROUBLES, GRAPHS):
        return own
    before = blocks(QUICKSTART)
    upto = next(place for place, block in enumerate(before) if block.serves) + 1
    return [block for block in before[:upto] if block.file or "export " in block.script] + own


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKS)
def test_every_command_succeeds_and_prints_what_its_page_shows(name: str, tmp_path: Path) -> None:
    planned = route(WALKS[name])
    done = walk(planned, tmp_path, forked=name not in AS_ANYBODY)
    for block in planned:
        if block.shown is not None and block.where in done.printed:
            printed = done.printed[block.where]
            assert shows(block.shown, printed), f"{block.where} printed:\n{printed}\n{done.remarks}"
    commands = [block.where for block in planned if block.language == "bash"]
    assert list(done.printed) == commands, f"the last one failed: {list(done.printed.values())[-1:]}\n{done.remarks}"
    assert done.server_status == "0", done.remarks


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_word_in_a_shown_output_is_noticed(page: str) -> None:
    outputs = [(block.where, block.shown) for block in blocks(page) if block.shown is not None]
    assert outputs
    for where, shown in outputs:
        printed = shown.replace("…", "x")
        assert shows(shown, printed)
        for word in re.finditer(r"[^\s…]+", shown):
            wrong = f"{printed[: word.start()]}other{printed[word.end() :]}"
            assert not shows(shown, wrong), f"{where}: {word[0]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_is_a_file_that_a_command_uses(page: str) -> None:
    commands = "\n".join(block.script for block in blocks(page) if block.language == "bash")
    for block in blocks(page):
        if block.language == "python":
            assert block.file is not None, f"{block.where}: its first line must be a comment that names the file"
            assert block.file in commands or f"{Path(block.file).stem}:app" in commands, f"{block.where} is never used"


@pytest.mark.parametrize("page", ["README.md", QUICKSTART])
def test_there_is_no_block_but_commands_their_outputs_and_files(page: str) -> None:
    assert [block.where for block in blocks(page) if block.language not in ("bash", "python")] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {target for page in PAGES for block in blocks(page) for target in block.made}
    assert {"run", "test", "setup"} <= named <= targets
