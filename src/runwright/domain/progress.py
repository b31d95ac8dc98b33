"""Whether a tree with a patch is better than the one without it: the measure of a loop's progress.

The measure of a tree is, in this order: how many P0 are open, how many P1, P2 (and P3, where that must be clean), and
how many required gates are not green. A patch is kept only if it makes the measure smaller, brings no new finding that
does harm, turns no green gate red, and no scanner saw less of its tree. So the tree that is kept is always the best so
far, and a loop cannot go on for ever: the measure only falls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from runwright.domain.finding import Finding, family
from runwright.domain.loop_events import Standing
from runwright.domain.loop_terms import SEVERITIES, LoopTerms
from runwright.domain.verdict import GateStanding

Measure = tuple[int, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch changed of the findings. `now` are all of the new tree, each by the name that it was first told, and
    as what the baseline made of it then.
    """  # fmt: skip

    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    now: tuple[Finding, ...]


def changed(before: Sequence[Finding], after: Sequence[Finding]) -> Change:
    """Compare two looks: one that has another neighbourhood now is still the same, by its rule, file and severity.

    Where several of a rule are in a file, those are new of which there are more than before.
    """
    known = {each.fingerprint: each for each in before}
    found = {each.fingerprint for each in after}
    gone: dict[tuple[str, str, str], list[Finding]] = {}
    for each in before:
        if each.fingerprint not in found:
            gone.setdefault(_kind(each), []).append(each)
    new: list[Finding] = []
    now: list[Finding] = []
    for each in after:
        was = known.get(each.fingerprint)
        if was is None and (former := gone.get(_kind(each))):
            was = former.pop(0)
        if was is None:
            new.append(each)
        else:
            each = replace(
                each, finding_id=was.finding_id, fingerprint=was.fingerprint, baseline_state=was.baseline_state
            )
        now.append(each)
    fixed = [each for left in gone.values() for each in left]
    return Change(new=tuple(new), fixed=tuple(fixed), now=tuple(now))


def _kind(finding: Finding) -> tuple[str, str, str]:
    return finding.severity, family(finding.rule_id), finding.file


def counted(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many there are of each severity."""
    counts = Counter(each.severity for each in findings)
    return {severity: counts.get(severity, 0) for severity in SEVERITIES}


def measure(standing: Standing, gates: Sequence[GateStanding], terms: LoopTerms) -> Measure:
    """Return the measure of a tree; of two the smaller one is better."""
    through = SEVERITIES[: SEVERITIES.index(terms.clean_through) + 1]
    return (*(standing.findings.get(each, 0) for each in through), not_green(gates, terms))


def not_green(gates: Sequence[GateStanding], terms: LoopTerms) -> int:
    """Return how many required gates are not green; one that has said nothing is not."""
    return sum(not is_green(gates, gate_id, terms) for gate_id in terms.required)


def red_gates(gates: Sequence[GateStanding], terms: LoopTerms) -> tuple[str, ...]:
    """Return the required gates that a patch could make green: not those of a policy that nothing makes run."""
    idle = {each.gate_id for each in gates if each.status == "not_run" and terms.gate(each.gate_id) is None}
    return tuple(each for each in terms.required if each not in idle and not is_green(gates, each, terms))


def is_green(gates: Sequence[GateStanding], gate_id: str, terms: LoopTerms) -> bool:
    """Tell whether a gate is green."""
    said = next((each.status for each in gates if each.gate_id == gate_id), "not_run")
    gate = terms.gate(gate_id)
    return said == "green" if gate is None else gate.is_green(said)


def is_clean(standing: Standing, gates: Sequence[GateStanding], terms: LoopTerms) -> bool:
    """Tell whether nothing is left to repair: the look was complete, and the required gates are green."""
    left = sum(standing.targeted.get(each, 0) for each in terms.severities)
    return standing.complete and left == 0 and not_green(gates, terms) == 0


def why_not_kept(
    before: tuple[Standing, Sequence[GateStanding]],
    after: tuple[Standing, Sequence[GateStanding]],
    new: Sequence[Finding],
    terms: LoopTerms,
) -> str | None:
    """Return why a tree is not kept; None where it is better than the one before."""
    (was, gates_were), (now, gates) = before, after
    harmful = [each for each in new if each.severity in terms.harmful]
    if harmful:
        first = harmful[0]
        return f"it brings {len(harmful)} new findings, the first is {first.severity} {first.rule_id} in {first.file}"
    for gate_id in terms.required:
        if is_green(gates_were, gate_id, terms) and not is_green(gates, gate_id, terms):
            return f"the gate {gate_id} was green, and is not any more"
    for scanner, status in was.coverage.items():
        if status == "completed" and now.coverage.get(scanner, "not_run") != "completed":
            return f"the scanner {scanner} sees less of it than before"
    if measure(now, gates, terms) >= measure(was, gates_were, terms):
        return "it makes nothing better"
    return None
