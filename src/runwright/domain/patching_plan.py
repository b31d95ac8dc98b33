"""Which findings a loop repairs next, and by whom: the same for the same tree, whoever asks.

Fixers come first, each with the gravest findings of as many files as one patch may change; what they came to nothing
with is given to them in smaller parts. A model follows, with one batch after the other. By owner, both are given
what belongs to the same people: so who reviews a patch reviews what is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.domain.finding import Finding, rank
from runwright.domain.loop_course import tried_as
from runwright.domain.loop_terms import DETERMINISTIC, LLM, LoopTerms

GATE = "gate:"
"""What a batch names a red gate by, among fingerprints."""


class Batch(msgspec.Struct, frozen=True):
    """Findings to be repaired together; or, without any, red gates by their ids. `owners`: whose files they all are."""

    findings: tuple[Finding, ...] = ()
    gates: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def targeted(self) -> tuple[str, ...]:
        """Return what it is about, by fingerprint."""
        return tuple(each.fingerprint for each in self.findings) + tuple(f"{GATE}{each}" for each in self.gates)

    @property
    def key(self) -> str:
        """Return what no other batch is called."""
        return sha256("\0".join(self.targeted).encode()).hexdigest()[:16]

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files of its findings, in their order."""
        return tuple(dict.fromkeys(each.file for each in self.findings))


class Attempt(msgspec.Struct, frozen=True):
    """Who is to repair what."""

    patcher: str
    batch: Batch


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What a loop works with at the tree that it keeps: its fixers by name, a model or none, and the open findings
    that it is to repair and may.
    """  # fmt: skip

    fixers: tuple[str, ...] = ()
    model: bool = False
    findings: tuple[Finding, ...] = ()
    red: tuple[str, ...] = ()
    out_of_scope: int = 0


def plan(bench: Bench, tried: Mapping[str, int], terms: LoopTerms) -> Attempt | None:
    """Return what is tried next; None when nothing is left that could help."""
    if DETERMINISTIC in terms.strategy.patchers:
        for fixer in bench.fixers:
            for batch in _of_fixers(bench, terms):
                found = _untried(fixer, batch, tried)
                if found is not None:
                    return Attempt(fixer, found)
    if not bench.model or LLM not in terms.strategy.patchers:
        return None
    batches = [*_of_model(bench, terms), *([Batch(gates=bench.red)] if bench.red else [])]
    if not batches:
        return None
    return Attempt(LLM, min(batches, key=lambda batch: tried.get(tried_as(LLM, batch.key), 0)))


def _untried(fixer: str, batch: Batch, tried: Mapping[str, int]) -> Batch | None:
    """Return the largest part of a batch that a fixer has not tried; what it has nothing for is left out as a whole."""
    times = tried.get(tried_as(fixer, batch.key))
    if times is None:
        return batch
    if times == 0 or len(batch.findings) == 1:
        return None
    parts = _by_file(batch.findings) if len(batch.files) > 1 else [Batch((each,)) for each in batch.findings]
    parts = [replace(part, owners=batch.owners) for part in parts]
    return next((found for part in parts if (found := _untried(fixer, part, tried)) is not None), None)


def _of_fixers(bench: Bench, terms: LoopTerms) -> list[Batch]:
    if terms.strategy.batch != "by_file":
        return _of_model(bench, terms)
    return _chunks(_by_file(bench.findings), terms)


def _of_model(bench: Bench, terms: LoopTerms) -> list[Batch]:
    match terms.strategy.batch:
        case "one_finding":
            return [Batch((each,)) for each in sorted(bench.findings, key=rank)]
        case "by_owner":
            return _by_owner(bench, terms)
        case _:
            return _by_file(bench.findings)


def _by_owner(bench: Bench, terms: LoopTerms) -> list[Batch]:
    """Return the findings of each owner, that with the gravest first; of what nobody owns, those of one directory."""
    groups: dict[tuple[tuple[str, ...], str], list[Finding]] = {}
    for each in sorted(bench.findings, key=rank):
        groups.setdefault((each.owners, "" if each.owners else each.file.rpartition("/")[0]), []).append(each)
    return [
        replace(batch, owners=owners)
        for (owners, _), found in groups.items()
        for batch in _chunks(_by_file(found), terms)
    ]


def _chunks(files: Sequence[Batch], terms: LoopTerms) -> list[Batch]:
    """Return the findings of as many files together as one patch may change."""
    most = terms.strategy.max_files_per_patch
    chunks = [files[at : at + most] for at in range(0, len(files), most)]
    return [Batch(tuple(each for part in chunk for each in part.findings)) for chunk in chunks]


def _by_file(findings: Iterable[Finding]) -> list[Batch]:
    """Return one batch for each file, that with the gravest finding first."""
    files: dict[str, list[Finding]] = {}
    for each in sorted(findings, key=rank):
        files.setdefault(each.file, []).append(each)
    return [Batch(tuple(each)) for each in files.values()]
