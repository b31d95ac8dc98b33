"""The tools of this server, with what they need of the machine."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Self

from msgspec.structs import replace

from runwright.agents.tools.ask_user import AskUser
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.commands import Python, Shell
from runwright.agents.tools.files import Files
from runwright.agents.tools.http import Http
from runwright.agents.tools.port import Tool
from runwright.agents.tools.workspace import Kept, RunWorkspace
from runwright.clock import Clock
from runwright.domain.globs import Scope
from runwright.domain.tools import Catalogue
from runwright.outbound.guard import Resolver, resolve
from runwright.sandbox.means import Means
from runwright.sandbox.snapshot import Limits

SPECS = (AskUser.spec, Files.spec, Http.spec, Python.spec, Shell.spec)
"""What the tools say of themselves; the same on every server, whatever works there."""


class Toolbox:
    """The tools by name, their catalogue and their limits. Without `means` no workspace opens, and `why` is told.

    To be closed.
    """

    def __init__(self, tools: Iterable[Tool], bounds: ToolBounds, means: Means | None, why: str) -> None:
        self.tools = {tool.spec.name: tool for tool in tools}
        self.catalogue = Catalogue(tool.spec for tool in self.tools.values())
        self.bounds = bounds
        self._means = means
        self._why = why

    @classmethod
    def builtin(
        cls,
        clock: Clock,
        bounds: ToolBounds,
        means: Means | None,
        why: str = "",
        *,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> Self:
        """Return the toolbox with the tools that come with Runwright; the `means` are closed by whoever found them."""
        http = Http(clock, bounds, resolver=resolver, certificates=certificates)
        return cls((AskUser(), Files(bounds), http, Python(bounds), Shell(bounds)), bounds, means, why)

    def workspace(
        self,
        run_id: str,
        last: Kept | None,
        *,
        writable: bool = True,
        tree: Limits | None = None,
        scope: Scope | None = None,
    ) -> RunWorkspace:
        """Return the workspace of a run, to be closed; it is rebuilt from its last snapshot when it is needed.

        One that is not `writable` is there to be read; `tree` is how large it may be, if not as large as an agent's;
        `scope` is what of it may be changed.
        """
        bounds = self.bounds if tree is None else replace(self.bounds, tree=tree)
        return RunWorkspace(self._means, self._why, bounds, run_id, last, writable=writable, scope=scope)

    async def close(self) -> None:
        """Close the connections."""
        for tool in self.tools.values():
            if isinstance(tool, Http):
                await tool.close()
