"""The forges that a server's settings name, and how each of them is reached."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.forge import ENVIRONMENT, ForgeRecord, Kind, forge_of, read_forges
from runwright.domain.repository import Local, read_repository
from runwright.errors import InvalidRequest, InvalidSettings
from runwright.forges import github
from runwright.forges.bare import BareRepository, directory_of
from runwright.forges.gitea import Gitea
from runwright.forges.github import GitHub
from runwright.forges.gitlab import GitLab
from runwright.forges.hosted import Api, HostedForge
from runwright.forges.local import LocalForge
from runwright.forges.port import Forge, Refused
from runwright.forges.receiving import SmartRepository
from runwright.forges.wire import Wire
from runwright.outbound.guard import Resolver, resolve

Secrets = Callable[[str], Awaitable[str | None]]
"""Returns a secret of the project by its name."""
_USERS: dict[Kind, str] = {
    "github": "x-access-token:{token}",
    "gitlab": "oauth2:{token}",
    "gitea": "{token}:x-oauth-basic",
    "local": "runwright:{token}",
}
"""How a token is told to git over HTTP."""


class Forges:
    """Finds the forge of a repository. Raises `InvalidSettings` for a token that would go out in the clear."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._resolver = resolver
        self._certificates = certificates
        self._records = read_forges(settings.forges)
        for record in self._records:
            if record.secret is not None and record.origin.startswith("http:") and not settings.repository_private:
                raise InvalidSettings(f"the token of {record.origin} would go out in the clear; use https")

    def record(self, repo: str) -> ForgeRecord:
        """Return what is known of the forge of a repository. Raises `Refused` where no forge is named for it."""
        found = forge_of(self._records, repo)
        if found is None:
            message = "no forge is named for the repository; its operator names them as RUNWRIGHT_FORGES"
            raise Refused("FORGE_ERROR", message, retryable=False)
        return found

    async def authorization(self, repo: str, secrets: Secrets) -> str | None:
        """Return the header by which a repository is read; None for what everybody may read, or no token is there."""
        record = forge_of(self._records, repo)
        if record is None or record.secret is None:
            return None
        token = await secrets(record.secret)
        return None if token is None else _basic(record.kind, token)

    async def open(self, repo: str, secrets: Secrets) -> Forge:
        """Return the forge of a repository, to be closed. Raises `Refused`."""
        record, settings = self.record(repo), self._settings
        try:
            where = read_repository(repo, settings.repository_roots, allow_private=settings.repository_private)
        except InvalidRequest as why:
            raise Refused("FORGE_ERROR", why.detail, retryable=False) from None
        if isinstance(where, Local):
            return LocalForge(BareRepository(where), directory_of(where))
        token = None if record.secret is None else await secrets(record.secret)
        if token is None and (record.secret is not None or record.kind != "local"):
            raise Refused("FORGE_ERROR", _closed(record), retryable=False)
        wire = Wire(
            self._clock,
            allow_private=settings.repository_private,
            timeout_s=settings.repository_timeout_s,
            resolver=self._resolver,
            certificates=self._certificates,
        )
        remote = SmartRepository(wire, repo, None if token is None else _basic(record.kind, token))
        if token is None or record.kind == "local":
            return LocalForge(remote, repo, wire)
        return _hosted(record, repo, remote, wire, token)


def _closed(record: ForgeRecord) -> str:
    """Return what is said where a project has nothing that opens a forge."""
    if record.secret is None:
        return f"no token is named for {record.origin}; its operator names one in RUNWRIGHT_FORGES, behind a #"
    what = f"the project has no secret {record.secret} to open {record.origin} with"
    return f"{what}; create it, in the environment {ENVIRONMENT} or in none"


def _hosted(record: ForgeRecord, repo: str, remote: SmartRepository, wire: Wire, token: str) -> HostedForge:
    path, origin = repo.removeprefix(record.origin).strip("/").removesuffix(".git"), record.origin
    match record.kind:
        case "github":
            headers = {**github.HEADERS, "Authorization": f"Bearer {token}"}
            return GitHub(remote, Api(wire, github.api_of(origin), headers), path)
        case "gitlab":
            return GitLab(remote, Api(wire, f"{origin}/api/v4", {"Authorization": f"Bearer {token}"}), path)
        case _:
            return Gitea(remote, Api(wire, f"{origin}/api/v1", {"Authorization": f"token {token}"}), path)


def _basic(kind: Kind, token: str) -> str:
    return f"Basic {b64encode(_USERS[kind].format(token=token).encode()).decode()}"
