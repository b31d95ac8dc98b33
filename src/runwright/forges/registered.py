"""The forges that a server's settings name, and how each of them is reached."""

from __future__ import annotations

from runwright.config import Settings
from runwright.domain.forge import ForgeRecord, forge_of, read_forges
from runwright.domain.repository import Local, read_repository
from runwright.errors import InvalidRequest
from runwright.forges.bare import BareRepository, directory_of
from runwright.forges.local import LocalForge
from runwright.forges.port import Forge, Refused


class Forges:
    """Finds the forge of a repository."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = read_forges(settings.forges)

    def record(self, repo: str) -> ForgeRecord:
        """Return what is known of the forge of a repository. Raises `Refused` where no forge is named for it."""
        found = forge_of(self._records, repo)
        if found is None:
            message = "no forge is named for the repository; its operator names them as RUNWRIGHT_FORGES"
            raise Refused("FORGE_ERROR", message, retryable=False)
        return found

    def open(self, repo: str) -> Forge:
        """Return the forge of a repository, to be closed. Raises `Refused`."""
        record, settings = self.record(repo), self._settings
        try:
            where = read_repository(repo, settings.repository_roots, allow_private=settings.repository_private)
        except InvalidRequest as why:
            raise Refused("FORGE_ERROR", why.detail, retryable=False) from None
        if isinstance(where, Local):
            return LocalForge(BareRepository(where), directory_of(where))
        raise Refused("FORGE_ERROR", f"this server does not push to forges of the kind {record.kind}", retryable=False)
