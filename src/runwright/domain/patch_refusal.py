"""Why something is no patch, by a code for programs and words for whoever wrote it."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "malformed", "too_large", "path", "exists", "missing", "mismatch", "ambiguous", "binary", "mode", "twice",
    "nothing",
]  # fmt: skip


class PatchRefused(Exception):
    """Say why something is no patch, or none of this tree."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
