"""Which findings a loop repairs next, and by whom: the same for the same tree, whoever asks.

Fixers come first, each with the gravest findings of as many files as one patch may change; what they came to nothing
with is given to them in smaller parts. A model follows, with one batch after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from runwright.domain.finding import Finding, rank
from runwright.domain.loop_course import tried_as
from runwright.domain.loop_terms import DETERMINISTIC, LLM, LoopTerms

GATE = "gate:"
"""What a batch names a red gate by, among fingerprints."""


class Batch(msgspec.Struct, frozen=True):
    """Findings to be repaired together; or, without any, red gates by their ids."""

    findings: tuple[Finding, ...] = ()
    gates: tuple[str, ...] = ()

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
            for batch in _of_fixers(bench.findings, terms):
                found = _untried(fixer, batch, tried)
                if found is not None:
                    return Attempt(fixer, found)
    if not bench.model or LLM not in terms.strategy.patchers:
        return None
    batches = [*_of_model(bench.findings, terms), *([Batch(gates=bench.red)] if bench.red else [])]
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
    return next((found for part in parts if (found := _untried(fixer, part, tried)) is not None), None)


def _of_fixers(findings: Sequence[Finding], terms: LoopTerms) -> list[Batch]:
    if terms.strategy.batch == "one_finding":
        return _of_model(findings, terms)
    files = _by_file(findings)
    most = terms.strategy.max_files_per_patch
    chunks = [files[at : at + most] for at in range(0, len(files), most)]
    return [Batch(tuple(each for part in chunk for each in part.findings)) for chunk in chunks]


def _of_model(findings: Sequence[Finding], terms: LoopTerms) -> list[Batch]:
    if terms.strategy.batch == "one_finding":
        return [Batch((each,)) for each in sorted(findings, key=rank)]
    return _by_file(findings)


def _by_file(findings: Iterable[Finding]) -> list[Batch]:
    """Return one batch for each file, that with the gravest finding first."""
    files: dict[str, list[Finding]] = {}
    for each in sorted(findings, key=rank):
        files.setdefault(each.file, []).append(each)
    return [Batch(tuple(each)) for each in files.values()]
