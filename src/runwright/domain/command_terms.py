"""How commands are written where people order them: as steps of a run, and as gates."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

StepId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}(?!\n)$", max_length=64)]
Words = Annotated[
    tuple[Annotated[str, Meta(max_length=32_768, pattern=r"^[^\x00]*$")], ...], Meta(min_length=1, max_length=256)
]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
