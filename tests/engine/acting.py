"""Worlds that execute agent runs: a scripted model, tools that are only names, and the loop as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from runwright.agents.providers.port import Bounds
from runwright.agents.providers.registry import Providers
from runwright.agents.providers.scripted import Script, Turn
from runwright.agents.tools.ask_user import AskUser
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.port import Result, Said, Scene
from runwright.agents.tools.toolbox import Toolbox
from runwright.clock import Clock, FrozenClock
from runwright.domain.model_call import ModelCall, ModelEvent, ToolCall
from runwright.domain.persona import PersonaDefinition
from runwright.domain.route import RouteDefinition
from runwright.domain.thread import Thread
from runwright.domain.tools import Action, Effect, Ready, ToolSpec
from runwright.errors import ProviderUnavailable
from runwright.executors.agent import AgentExecutor
from runwright.executors.agent_kit import Kit, LazyKit
from tests.engine.databases import Database
from tests.engine.talking import Talk
from tests.engine.world import ADMIN, PROJECT, World

_ANY = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}


class Doing:
    """A tool that remembers its calls, waits until it is let through, and says what it is told to say.

    Before and after it does its work (`made`, and under which keys: `done`) a worker may be lost.
    """

    def __init__(self, name: str, effect: Effect, risk: Any = "low", says: Any = None) -> None:
        self.spec = ToolSpec(name=name, description="", schema=_ANY, actions={"": Action(risk, effect)})
        self.says = says
        self.begun: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.done: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Do it."""
        self.begun.append(scene.idempotency_key)
        await asyncio.sleep(0)
        await self.open.wait()
        self.made.append(call.arguments)
        self.done.append(scene.idempotency_key)
        await asyncio.sleep(0)
        return Said(self.says if self.says is not None else f"{self.spec.name} did {call.arguments.get('name', '')}")


class Flaky(Providers):
    """Providers whose answers break off behind the first piece, as long as there is `trouble`."""

    trouble: list[ProviderUnavailable]

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.trouble = []

    async def stream(self, call: ModelCall, secret: str | None = None) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, or its beginning."""
        async with aclosing(super().stream(call, secret)) as events:
            async for event in events:
                yield event
                if self.trouble:
                    raise self.trouble.pop(0)


class Acting(Talk):
    """A world with the executor of agents in it.

    `http` changes nothing, `python` may be done twice, `shell` may not.
    """

    def __init__(self, world: World, executor: AgentExecutor, kit: LazyKit, http: Doing, shell: Doing) -> None:
        super().__init__(world)
        self._kit = kit
        self.http = http
        self.shell = shell
        executor.attach(world.engine, self.agents)

    async def thread_for(self, script: str, route: dict[str, Any] | None = None, **persona: Any) -> Thread:
        """Make a thread whose runs are answered by a script, or by what another `route` leads to."""
        price = {"input": 1_000_000, "output": 4_000_000}
        asked = {"kind": "scripted", "model": script, "price": price} | (route or {})
        await self.agents.routes.create(ADMIN, PROJECT, "story", msgspec.convert(asked, RouteDefinition))
        definition = msgspec.convert({"prompt": "You tell stories.", "route": "story", **persona}, PersonaDefinition)
        await self.agents.personas.create(ADMIN, PROJECT, "teller", definition)
        return await self.thread(persona_id="teller")

    async def close(self) -> None:
        """Close the connections of the providers."""
        await self._kit.close()


async def acting(
    directory: Path,
    clock: FrozenClock,
    database: Database,
    scripts: dict[str, Script],
    http: Doing | None = None,
    shell: Doing | None = None,
    trouble: Sequence[ProviderUnavailable] = (),
    *,
    slots: int = 4,
    python: Doing | None = None,
    bounds: Bounds | None = None,
    patience: Clock | None = None,
    **settings: Any,
) -> Acting:
    """Return an open world that executes agent runs, not started yet; providers are waited for by `patience`."""
    world = World(directory, clock, (), database, **settings)
    providers = Flaky(patience or clock, bounds or Bounds(), scripts=scripts, allow_private=True)
    providers.trouble += trouble
    http, shell = http or Doing("http", "read_only"), shell or Doing("shell", "unsafe", "high")
    python = python or Doing("python", "idempotent")
    toolbox = Toolbox((AskUser(), http, python, shell), ToolBounds(), None, "no sandbox in tests")

    async def kit() -> Kit:
        return Kit(providers, toolbox)

    lazy = LazyKit(kit)
    executor = AgentExecutor(lazy, world.artifacts)
    world.beside.append((executor, slots))
    await world.open()
    return Acting(world, executor, lazy, http, shell)


def says(*text: str, calls: tuple[ToolCall, ...] = (), thinking: tuple[str, ...] = ()) -> Turn:
    """Return one answer of the model, in pieces."""
    return Turn(text=text, tool_calls=calls, thinking=thinking)


def calling(name: str, ident: str, /, **arguments: Any) -> ToolCall:
    """Return a call of a tool, as a model writes it."""
    return ToolCall(ident, name, msgspec.json.encode(arguments).decode())
