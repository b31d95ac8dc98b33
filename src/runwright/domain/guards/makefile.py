"""What a Makefile makes, read by line: its targets with what they need and do, and what is set outside of them."""

from __future__ import annotations

import re
from typing import NamedTuple

_TARGET = re.compile(
    r"(?P<names>[^\s:=#][^:=#]{0,500}?)\s{0,20}::?(?!=)\s{0,20}(?P<needs>[^=;#]{0,2000})(?P<rest>;.*|#.*|)\Z", re.DOTALL
)


_NAMES_MAX = 20


class Target(NamedTuple):
    """What a target needs, and the lines that make it."""

    needs: tuple[str, ...]
    recipe: tuple[str, ...]


class Makefile(NamedTuple):
    """The targets by name, the first of them, and the lines that belong to none."""

    targets: dict[str, Target]
    first: str
    outside: tuple[str, ...]


def rules_of(text: str) -> Makefile:
    """Return what a Makefile makes; comments and blank lines are nothing."""
    needs: dict[str, list[str]] = {}
    recipes: dict[str, list[str]] = {}
    outside: list[str] = []
    current: list[str] = []
    for line in text.replace("\\\n", " ").split("\n"):
        if line.startswith("\t"):
            for name in current:
                recipes[name].append(line.strip())
        elif not line.strip() or line.lstrip().startswith("#") or line.startswith(".PHONY"):
            continue
        elif not line.startswith(" ") and (found := _TARGET.match(line)):
            current = found["names"].split()[:_NAMES_MAX]
            for name in current:
                needs.setdefault(name, []).extend(found["needs"].split())
                recipes.setdefault(name, []).extend([found["rest"]] if found["rest"].startswith(";") else [])
        else:
            outside.append(line.strip())
            current = []
    targets = {name: Target(tuple(needs[name]), tuple(recipes[name])) for name in needs}
    first = next((name for name in targets if not name.startswith(".")), "")
    return Makefile(targets, first, tuple(outside))


def reached(made: Makefile, goals: set[str]) -> set[str]:
    """Return the targets that goals need, themselves among them."""
    found: set[str] = set()
    waiting = [name for name in goals if name in made.targets]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each for each in made.targets[name].needs if each in made.targets]
    return found
