"""The projects under `tests/fixtures/loops`: their files, what a scripted model says of them, and sabotage of each."""

from pathlib import Path

from runwright.domain.answer import parse_answer
from runwright.domain.patch import Patch, PatchBounds
from runwright.fixers.apply import resolved
from runwright.sandbox.beneath import Beneath

LOOPS = Path(__file__).parents[1] / "fixtures" / "loops"
NAMES = ("service", "cli", "library")
BOUNDS = PatchBounds()
TOKEN = "ghp_" + "9aQx7LmZ2vRt4KcW8bNd" + "3Yh6PfJs1GuE5oTi"
"""What `%%TOKEN%%` stands for: it has the form of a token, and is none."""


def files(name: str) -> dict[str, str]:
    """Return the files of a project."""
    root = LOOPS / name / "project"
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): _filled(path) for path in paths}


def repair(name: str) -> str:
    """Return the answer of a scripted model that repairs what the fixers cannot."""
    return _filled(LOOPS / name / "answers" / "repair.md")


def sabotage(name: str) -> dict[str, str]:
    """Return answers that only make a gate pass, by the guard that refuses them."""
    return {path.stem: _filled(path) for path in sorted((LOOPS / name / "sabotage").glob("*.json"))}


def read(answer: str, tree: Beneath) -> Patch:
    """Return the patch of an answer over a tree."""
    return resolved(parse_answer(answer, BOUNDS), tree, BOUNDS)


def _filled(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("%%TOKEN%%", TOKEN)
