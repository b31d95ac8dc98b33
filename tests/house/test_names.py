"""A newcomer guesses where a line lives; a drawer labelled `misc` takes that away."""

import re
from pathlib import PurePath

from tests.house.tree import ROOT, SRC, everything, source

BANNED = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
SURFACES = ("src/runwright/api/", "src/runwright/cli/", "src/runwright/client/", "src/runwright/domain/words.py")


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [m.path for m in everything() if PurePath(m.path).stem in BANNED | {f"_{name}" for name in BANNED}]
    assert [path for path in vague if path != "src/runwright/store/base.py"] == []


def test_every_directory_of_the_package_is_a_package() -> None:
    folders = {path.parent for path in SRC.rglob("*.py")}
    assert [f.relative_to(ROOT).as_posix() for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_inside_the_word_is_cancelled() -> None:
    american = [
        m.path for m in source() if re.search(r"\bcancel(ed|ing)\b", m.text) and not m.path.startswith(SURFACES)
    ]
    assert american == []
