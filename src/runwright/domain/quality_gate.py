"""Quality gates: commands of a project whose exit code is a verdict over a tree, wherever they are run.

They stand in policies and in the orders of loops, and mean the same there.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain.command_terms import Seconds, StepId, Words

RelativePath = Annotated[
    str, Meta(min_length=1, max_length=1024, pattern=r"^(?!(?:[^\x00]*/)?\.\.(?:/|$))[^/\x00\n][^\x00\n]*$")
]
"""A path in the repository: relative, and leading nowhere but down."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What both of these are."""


class CoverageReport(_Struct, frozen=True):
    """Where a gate's command leaves its report of coverage, in the workspace."""

    file: RelativePath
    format: Literal["auto", "cobertura", "json", "lcov"] = "auto"


class QualityGate(_Struct, frozen=True):
    """A command whose exit code is a verdict over the tree: 0 is green; one that did not run is not.

    A red one is run `retries` times more: `flaky` says what it is when the two disagree.
    """

    id: StepId
    command: Words
    timeout: Seconds = 600.0
    required: bool = True
    retries: Annotated[int, Meta(ge=0, le=1)] = 1
    flaky: Literal["red", "green"] = "red"
    coverage: CoverageReport | None = None

    def is_green(self, status: str) -> bool:
        """Tell whether a verdict counts as green."""
        return status == "green" or (status == "flaky" and self.flaky == "green")
