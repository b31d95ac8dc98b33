"""What a pull request says of the tree that it brings: what its gates say, and what a loop repaired in it.

All of it holds for that very tree, so that the same tree is told in the same words. No text of the repository is part
of it: names of gates and patchers, and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from runwright.domain.course import Course
from runwright.domain.finding import Severity
from runwright.domain.loop_course import Iteration, LoopCourse
from runwright.domain.verdict import GateStanding

ITERATIONS_TOLD = 20
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def report(course: Course) -> str:
    """Return the report over a tree, in Markdown, a blank line behind it; nothing where there is nothing to say."""
    tree_hash = None if course.snapshot is None else course.snapshot.tree_hash
    if course.loop is not None:
        parts = [*_repaired(course.loop), _gates(course.loop.gates)]
    else:
        parts = [_gates(tuple(each for each in course.gates if each.tree_hash == tree_hash))]
    return "".join(f"{part}\n\n" for part in parts if part)


def _repaired(loop: LoopCourse) -> Iterator[str]:
    if loop.start is None or loop.standing is None:
        return
    counts = [(name, *(each.findings.get(name, 0) for each in (loop.start, loop.standing))) for name in SEVERITIES]
    rows = [f"| {name} | {was} | {now} |" for name, was, now in counts if was or now]
    if rows:
        yield "\n".join(("| Findings | before | after |", "|---|---:|---:|", *rows))
    kept = [each for each in loop.iterations if each.outcome == "kept"]
    lines = [_iteration(each) for each in kept[:ITERATIONS_TOLD]]
    left = len(kept) - len(lines)
    yield "\n".join([*lines, *([f"- and {left} more"] if left else ())])


def _iteration(each: Iteration) -> str:
    patch = each.patch
    size = "" if patch is None else f" (files: {patch.files}, lines: +{patch.added} −{patch.removed})"
    return f"- {_code(each.patcher)}, findings fixed: {each.fixed_findings}{size}"


def _gates(gates: tuple[GateStanding, ...]) -> str:
    told = ", ".join(f"{_code(each.gate_id)} {each.status}" for each in gates)
    return f"Gates of this tree: {told}." if told else ""


def _code(name: str) -> str:
    return "`" + " ".join(name.replace("`", "'").split()) + "`"
