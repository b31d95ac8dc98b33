"""Shells complete our commands: by scripts that cyclopts writes, the one for bash in a real bash."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Call

COMPLETED = """
set -u
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_runwright
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(call: Call, tmp_path: Path) -> Path:
    """Write the script for bash to a file."""
    file = tmp_path / "runwright.bash"
    file.write_text(call("completion", "bash").out)
    return file


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("runwright ru", {"runs", "runtime"}),
        ("runwright runs attem", {"attempts"}),
        ("runwright runs watch --after", {"--after-seq"}),
        ("runwright keys r", {"revoke", "rotate", "rotate-signing"}),
        ("runwright completion z", {"zsh"}),
        ("runwright jobs create greet --retry-strategy lin", {"linear"}),
    ],
)
def test_a_real_bash_completes_commands_options_and_words(script: Path, line: str, found: set[str]):
    words = ["bash", "--norc", "-c", COMPLETED, "bash", str(script), *line.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert {word.strip() for word in done.stdout.split()} == found, done.stderr


@pytest.mark.parametrize(("shell", "mark"), [("zsh", "#compdef runwright"), ("fish", "complete -c runwright")])
def test_scripts_for_other_shells_name_every_command(call: Call, shell: str, mark: str):
    script = call("completion", shell).out
    assert mark in script
    assert [name for name in ("runs", "watch", "orgs", "projects", "trigger") if name not in script] == []


def test_another_shell_is_refused(call: Call):
    assert call("completion", "tcsh").code == 2
