"""The redactor of each project: it hides what the server must hide everywhere, and the project's own secrets."""

from __future__ import annotations

from collections.abc import Iterable

from runwright.domain.redaction import Redactor


class Redactors:
    """Made anew where a project's secrets change; whoever redacts asks each time, and keeps none for later.

    None is ever forgotten: an attempt may be at work that prints what it was given long ago.
    """

    def __init__(self, base: Redactor) -> None:
        self.base = base
        self._projects: dict[str, Redactor] = {}
        self._versions: dict[str, int] = {}

    def of(self, project_id: str) -> Redactor:
        """Return the redactor of a project, as far as its secrets are known here."""
        return self._projects.get(project_id, self.base)

    def version(self, project_id: str) -> int:
        """Return the version of the secrets that are known; 0 for none."""
        return self._versions.get(project_id, 0)

    def know(self, project_id: str, version: int, values: Iterable[str]) -> None:
        """Know the secrets of a project in a version; those of an older one are known already."""
        if version <= self.version(project_id):
            return
        self._versions[project_id] = version
        self._projects[project_id] = self.base.joined(values)
