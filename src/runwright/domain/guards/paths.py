"""Guards over what a patch touches, whatever it does there: scope, size, binary files, and the policy itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runwright.domain.guards.terms import Edited, Guarded, Refusal
from runwright.domain.line_diff import spans
from runwright.domain.patch import lines_of

_OURS = (".runwright/", ".sentinelayer/")
_SUPPRESSIONS = ".runwright/suppressions."


def outside(paths: Sequence[str], policy: Guarded) -> Iterator[Refusal]:
    """Refuse what the policy's scope does not allow."""
    for path in paths:
        if not policy.scope.allows(path):
            yield Refusal(guard="path_out_of_scope", path=path, message="the policy does not let this path be changed")


def policy_edits(paths: Sequence[str]) -> Iterator[Refusal]:
    """Refuse every change of the policy, of baselines and of whatever else steers Runwright in a repository."""
    for path in paths:
        small = path.lower()
        if small.startswith(_OURS) and not small.startswith(_SUPPRESSIONS):
            message = "what steers the gate is changed by people alone, and never by a patch of a loop"
            yield Refusal(guard="policy_edited", path=path, message=message)


def binaries(paths: Sequence[str]) -> Iterator[Refusal]:
    """Refuse files that are no text."""
    for path in paths:
        yield Refusal(
            guard="binary_change", path=path, message="a file that is no text is changed; nobody could read it"
        )


def sizes(files: int, edits: Sequence[Edited], most_files: int, most_lines: int) -> Iterator[Refusal]:
    """Refuse a patch that is larger than people would read."""
    if files > most_files:
        yield Refusal(guard="too_many_files", message=f"it changes {files} files, of which {most_files} are allowed")
    lines = sum(_lines(each) for each in edits)
    if lines > most_lines:
        yield Refusal(guard="diff_too_large", message=f"it changes {lines} lines, of which {most_lines} are allowed")


def _lines(edit: Edited) -> int:
    changed = spans(lines_of(edit.before or ""), lines_of(edit.after or ""))
    return sum(each.old_end - each.old + each.new_end - each.new for each in changed)
