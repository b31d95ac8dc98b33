"""What a run's code may add to the run's metadata."""

from __future__ import annotations

from collections.abc import Mapping

from runwright.domain.run import Run
from runwright.errors import FieldError, InvalidRequest

ANNOTATIONS_MAX = 50
NAME_MAX = 128
TEXT_MAX = 1024


def require_annotations(run: Run, annotations: Mapping[str, str]) -> None:
    """Raise `InvalidRequest` for annotations that are too many or too long, together with those the run has."""
    wrong = [
        FieldError(f"annotations.{name[:64]}", f"names have 1 to {NAME_MAX} characters, texts at most {TEXT_MAX}")
        for name, text in annotations.items()
        if not 1 <= len(name) <= NAME_MAX or len(text) > TEXT_MAX
    ]
    if len(run.annotations.keys() | annotations.keys()) > ANNOTATIONS_MAX:
        wrong.append(FieldError("annotations", f"a run has at most {ANNOTATIONS_MAX}"))
    if wrong:
        raise InvalidRequest(fields=wrong)
