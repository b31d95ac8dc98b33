"""The repositories that the runs of a project may read: those open to everybody, and those its own tokens open."""

from __future__ import annotations

from runwright.domain.forge import ENVIRONMENT
from runwright.engine.engine import Engine
from runwright.executors.agent_kit import Kit
from runwright.forges.registered import Forges, Secrets
from runwright.sandbox.checkout import Repositories


def secrets_of(engine: Engine, project_id: str) -> Secrets:
    """Return what finds the secrets of a project that open forges."""

    async def secret(name: str) -> str | None:
        return await engine.vault.provisions.named(project_id, ENVIRONMENT, name)

    return secret


def repositories_of(engine: Engine, kit: Kit, project_id: str, forges: Forges | None = None) -> Repositories | None:
    """Return the repositories of a project; None where this process has no sandbox to read any in."""
    if kit.means is None:
        return None
    known = forges or Forges(engine.settings, engine.clock)
    secrets = secrets_of(engine, project_id)

    async def authorize(repo: str) -> str | None:
        return await known.authorization(repo, secrets)

    return Repositories.of(engine.settings, kit.means, authorize)
