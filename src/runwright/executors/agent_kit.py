"""What agents and runtime runs work with on one server: models and tools, made when the first such run comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from runwright.agents.providers.registry import Providers
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.toolbox import Toolbox
from runwright.clock import Clock
from runwright.config import Settings
from runwright.sandbox.means import Means


class Kit(NamedTuple):
    """Providers and tools, and the means that the tools have of this machine. To be closed."""

    providers: Providers
    toolbox: Toolbox
    means: Means | None = None

    @classmethod
    async def of(cls, settings: Settings, clock: Clock) -> Kit:
        """Return what the settings say. Raises `InvalidSettings` for scripts that are none."""
        providers = Providers.of(clock, settings)
        means, why = await Means.of(settings)
        return cls(providers, Toolbox.builtin(clock, ToolBounds.of(settings), means, why), means)

    async def close(self) -> None:
        """Close the connections, and remove what is on the disk."""
        await self.toolbox.close()
        await self.providers.close()
        if self.means is not None:
            self.means.close()


class LazyKit:
    """A kit that is made once, when it is first asked for: a server without agents spends nothing on it."""

    def __init__(self, make: Callable[[], Awaitable[Kit]]) -> None:
        self._make = make
        self._kit: Kit | None = None
        self._making = asyncio.Lock()

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> LazyKit:
        """Return the kit that the settings say, not made yet."""
        return cls(lambda: Kit.of(settings, clock))

    async def get(self) -> Kit:
        """Return the kit. Raises what making it raises, and makes it again when it is asked for again."""
        async with self._making:
            if self._kit is None:
                self._kit = await self._make()
            return self._kit

    async def close(self) -> None:
        """Close what was made."""
        if self._kit is not None:
            await self._kit.close()
