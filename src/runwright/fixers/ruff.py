"""Ruff's own fixes, those that it calls safe: for the rules and the files of findings, and no others.

It runs isolated: no configuration of the tree decides what is fixed. It prints a diff, and writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from runwright.domain.finding import Finding, family
from runwright.domain.patch import Patch, PatchBounds
from runwright.domain.unified import parse_unified
from runwright.fixers.apply import resolved
from runwright.fixers.port import FILES_MAX, inside, said
from runwright.sandbox.scanner import Ground, ScanBounds

TOOL = "ruff"
_CODE = re.compile(r"[A-Z]{1,6}[0-9]{2,5}\Z")
_OPTIONS = (
    "--isolated", "--no-cache", "--diff", "--no-unsafe-fixes", "--no-respect-gitignore", "--exit-zero", "--quiet",
    "--target-version", "py314",
)  # fmt: skip


class RuffFixes:
    """Proposes what ruff would fix."""

    name = TOOL

    def __init__(self, bounds: ScanBounds) -> None:
        self._bounds = bounds

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Return ruff's diff for the findings, None where it has none."""
        ours = [each for each in findings if TOOL in each.sources and each.file.endswith((".py", ".pyi"))]
        codes = sorted({code for each in ours if _CODE.match(code := family(each.rule_id))})
        paths = sorted({each.file for each in ours})[:FILES_MAX]
        if not codes or not paths:
            return None
        words = (TOOL, "check", *_OPTIONS, "--select", ",".join(codes), "--", *map(inside, paths))
        report = await said(ground, words, TOOL, self._bounds)
        if not report:
            return None
        return resolved(parse_unified(report.decode("utf-8", "replace"), bounds), ground.files, bounds)
