"""Programs of this installation in the sandbox: there when asked for, with nothing else, and nobody changes them."""

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from runwright.sandbox import programs
from runwright.sandbox.command import Command, Ended, run_command
from runwright.sandbox.means import Means
from runwright.sandbox.programs import ProgramMissing, program


@pytest.fixture
def tree(means: Means) -> Path:
    """Return an empty workspace that everybody may read."""
    made = means.workspaces.directory / "tree"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    made.chmod(0o755)
    return made


async def run(means: Means, tree: Path, *words: str, asks: tuple[str, ...] = ("ruff",), **env: str) -> Ended:
    """Run a command that only reads."""
    command = Command(words, 30, 512 << 20, 1, 1 << 20, env=env, writable=False, programs=asks)
    return await run_command(means, tree, command)


async def test_a_program_of_this_installation_runs_where_it_is_asked_for(means: Means, tree: Path):
    ended = await run(means, tree, "ruff", "--version")
    assert (ended.status, ended.output.split()[0]) == (0, "ruff")
    unasked = await run(means, tree, "sh", "-c", f"command -v ruff; ls {program('ruff')}", asks=())
    assert unasked.status != 0


async def test_a_script_brings_its_libraries_and_an_interpreter(means: Means, tree: Path):
    ended = await run(means, tree, "bandit", "--version", asks=("bandit",))
    assert (ended.status, ended.output.split()[0]) == (0, "bandit"), ended.output


async def test_the_tree_and_the_environment_give_an_interpreter_nothing_to_import(means: Means, tree: Path):
    for name in ("bandit.py", "sitecustomize.py", "usercustomize.py", "argparse.py"):
        (tree / name).write_text("print('planted')\n")
    (tree / "bandit").mkdir()
    (tree / "bandit" / "__init__.py").write_text("print('planted')\n")
    env = {"PYTHONPATH": "/workspace", "PYTHONSTARTUP": "/workspace/bandit.py", "PYTHONHOME": "/workspace"}
    ended = await run(means, tree, "bandit", "--version", asks=("bandit",), **env)
    assert ended.status == 0
    assert "planted" not in ended.output


async def test_what_is_shown_is_read_only_and_holds_only_what_was_asked_for(means: Means, tree: Path):
    ended = await run(
        means, tree, "sh", "-c", f"echo x > {program('ruff')}; rm -f {program('ruff')}; ls -R /run/programs/site"
    )
    assert "Read-only file system" in ended.output
    assert "runwright" not in ended.output
    ours = Path(sysconfig.get_path("scripts"), "ruff")
    assert ours.read_bytes()[:4] == b"\x7fELF"


async def test_a_program_in_the_tree_takes_no_ones_place(means: Means, tree: Path):
    (tree / "ruff").write_text("#!/bin/sh\necho planted\n")
    (tree / "ruff").chmod(0o755)
    assert "planted" not in (await run(means, tree, "ruff", "--version")).output


@pytest.mark.parametrize("name", ["no-such-program", "../bin/sh", "", "a/b", "-x"])
async def test_what_is_not_there_is_told_and_nothing_is_started(means: Means, tree: Path, name: str):
    with pytest.raises(ProgramMissing):
        await run(means, tree, "true", asks=(name,))


def test_a_script_of_another_environment_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "elsewhere-tool"
    script.write_text("#!/opt/venv/bin/python\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ProgramMissing, match="beside this installation"):
        programs.found("elsewhere-tool")
