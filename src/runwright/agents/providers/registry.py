"""All model providers by name, asked in one way: within limits, with errors in our words, and with no key in them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, cast

import httpcore2
import msgspec

from runwright.agents.providers.faults import fault
from runwright.agents.providers.installed import EXTRAS, wanted
from runwright.agents.providers.patience import Patience
from runwright.agents.providers.port import Bounds, LocalBounds, Provider
from runwright.agents.providers.scripted import Script, Scripted, read_scripts
from runwright.agents.providers.wire import Wire, certificates
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.addresses import Url, read_url, url_problem
from runwright.domain.model_call import Done, ModelCall, ModelEvent, ProviderKind, TextDelta, ToolCallDelta
from runwright.domain.scan import scalars
from runwright.errors import InvalidSettings, ProviderRejected, ProviderUnavailable
from runwright.outbound.guard import Guard, Resolver, resolve

_ROOM = "runwright.agents.providers"
_FAREWELL_S = 0.25


class _Kind(msgspec.Struct, frozen=True):
    module: str
    name: str
    address: str | None = None


_KINDS: dict[ProviderKind, _Kind] = {
    "openai": _Kind("responses", "Responses", "https://api.openai.com/v1"),
    "openai-compatible": _Kind("chat_completions", "ChatCompletions", "https://api.openai.com/v1"),
    "anthropic": _Kind("anthropic_messages", "Messages", "https://api.anthropic.com"),
    "local": _Kind("local", "Local"),
}


class _Closes(Protocol):
    async def close(self) -> None: ...


class Providers:
    """Asks the providers of models. SDKs are loaded at the first call that needs them. To be closed."""

    def __init__(
        self,
        clock: Clock,
        bounds: Bounds,
        local: LocalBounds | None = None,
        *,
        allow_private: bool = False,
        scripts: Mapping[str, Script] | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._clock = clock
        self._bounds = bounds
        self._local = local or LocalBounds()
        self._allow_private = allow_private
        self._known: dict[str, Provider] = {"scripted": Scripted(clock, scripts or {})}
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=certificates(),
            max_connections=bounds.connections,
            keepalive_expiry=bounds.keepalive_s,
            network_backend=Guard(clock, allow_private=allow_private, resolver=resolver),
        )

    @classmethod
    def of(cls, clock: Clock, settings: Settings) -> Self:
        """Return the providers within the limits that are set. Raises `InvalidSettings` for scripts that are none."""
        return cls(
            clock,
            Bounds.of(settings),
            LocalBounds.of(settings),
            allow_private=settings.allow_private_endpoints,
            scripts=_scripts(settings.model_scripts),
        )

    async def close(self) -> None:
        """Close all connections, and free the local model."""
        await self._pool.aclose()
        if (local := self._known.get("local")) is not None:
            await cast("_Closes", local).close()

    async def stream(self, call: ModelCall, secret: str | None = None) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, as it comes; the last event is `Done`, and there is exactly one.

        `secret` is the provider's key. Nothing is asked twice: who called decides whether to ask again. Read it to its
        end, so that the connection is used again, or close it: then the provider is no longer listened to.

        Raises `ProviderUnavailable` and `ProviderRejected`, also after events; there is no key in them.
        """
        provider = await self._provider(call.provider)
        bounds = self._bounds
        patience = Patience(self._clock, first_s=bounds.first_s, idle_s=bounds.idle_s, total_s=bounds.total_s)
        wire = Wire(
            self._pool,
            patience,
            to=self._address(call),
            secret=secret,
            connect_s=bounds.connect_s,
            max_bytes=bounds.answer_max_bytes,
        )
        source = provider.stream(call, wire)
        wrote = False
        failure = None
        try:
            while failure is None:
                try:
                    event = await patience.hold(anext(source, None))
                except Exception as broken:  # noqa: BLE001 - the room's edge: nothing of a provider's passes it
                    now = self._clock.now()
                    failure = fault(broken, secret=secret, sent=wire.sent, bounds=bounds, now_us=now)
                    break
                if event is None:
                    failure = _unfinished(wire.sent)
                elif isinstance(event, Done):
                    yield _believed(event, wrote)
                    await _farewell(source)
                    return
                elif (sound := _sound(event)) is None:
                    failure = ProviderUnavailable("The answer cannot be read.", reason="malformed", billed=wire.sent)
                else:
                    wrote = True
                    patience.begun()
                    yield sound
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_FAREWELL_S):
                    await source.aclose()
        # Here, behind the handler: an error of an SDK holds its request, and would come along as the context.
        raise failure

    async def _provider(self, name: ProviderKind) -> Provider:
        if name not in self._known:
            make = await _load(name)
            if name not in self._known:  # while it was loaded, somebody else may have been first
                self._known[name] = make(self._local) if name == "local" else make()
        return self._known[name]

    def _address(self, call: ModelCall) -> Url | None:
        kind = _KINDS.get(call.provider)
        if kind is None or kind.address is None:
            return None
        address = call.base_url or kind.address
        problem = url_problem(address, allow_private=self._allow_private)
        if problem is not None:
            raise ProviderRejected(f"The provider's base URL {problem}.", reason="address")
        return read_url(address)


def _scripts(path: str | None) -> dict[str, Script]:
    if path is None:
        return {}
    try:
        return read_scripts(Path(path).expanduser().read_bytes())
    except OSError as failure:
        told = f"cannot be read: {failure.strerror}"
    except (msgspec.ValidationError, msgspec.DecodeError) as failure:
        told = str(failure)
    raise InvalidSettings.at("RUNWRIGHT_MODEL_SCRIPTS", told)


async def _load(name: ProviderKind) -> Callable[..., Provider]:
    kind = _KINDS[name]
    # An SDK takes seconds to load: meanwhile the loop goes on.
    try:
        module: Any = await asyncio.to_thread(importlib.import_module, f"{_ROOM}.{kind.module}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("runwright"):
            raise
        raise ProviderRejected(wanted(EXTRAS[name][0]), reason="not_installed") from None
    return cast("Callable[..., Provider]", getattr(module, kind.name))


def _unfinished(sent: bool) -> ProviderUnavailable:
    return ProviderUnavailable("The answer ended before it was whole.", reason="cut", billed=sent)


def _sound(event: Any) -> TextDelta | ToolCallDelta | None:
    """Return an event of texts that can be written down; None for one that only looks like an event.

    The SDKs do not check what they are sent: there may be anything where a text should be.
    """
    if isinstance(event, TextDelta):
        text: Any = event.text
        return TextDelta(scalars(text), event.channel) if isinstance(text, str) else None
    texts = (event.id, event.name, event.arguments)
    if not (isinstance(event.index, int) and all(isinstance(text, str) for text in texts)):
        return None
    return ToolCallDelta(event.index, *map(scalars, texts))


def _believed(done: Done, wrote: bool) -> Done:
    """Return the end without a usage that cannot be: no prompt has no tokens, and what was written has some."""
    usage = done.usage
    if usage is None or (usage.input_tokens > 0 and (usage.output_tokens > 0 or not wrote)):
        return done
    return Done(done.stop_reason)


async def _farewell(source: AsyncGenerator[ModelEvent]) -> None:
    """Read what comes after the end, for a moment: a connection that is read to its end is used again."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_FAREWELL_S):
            async for _ in source:
                pass
