"""The port of the model providers: what each of them does, and within which limits all of them do it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from runwright.agents.providers.wire import Wire
from runwright.config import Settings
from runwright.domain.model_call import ModelCall, ModelEvent


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of model calls; the settings `model_*` give them."""

    connect_s: float = 10.0
    first_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 600.0
    answer_max_bytes: int = 16 << 20
    connections: int = 200
    keepalive_s: float = 30.0

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return those that are set."""
        return cls(**{name: getattr(settings, f"model_{name}") for name in cls.__struct_fields__})


class LocalBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the local model; the settings `local_model_*` give them."""

    path: str | None = None
    context: int = 4096
    threads: int = 1
    queue_max: int = 16

    @classmethod
    def of(cls, settings: Settings) -> LocalBounds:
        """Return those that are set."""
        return cls(**{name: getattr(settings, f"local_model_{name}") for name in cls.__struct_fields__})


class Provider(Protocol):
    """One kind of provider. It makes one request and translates; limits, errors and keys are seen to around it."""

    def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`; whatever it raises, and an end without `Done`, is a failure.

        HTTP goes through `wire` alone, in which a stand-in takes the place of the key.
        """
        ...


class Unsupported(Exception):
    """Say that a provider has no means for what a call asks; the text says what to do. Never leaves the room."""


class Malformed(Exception):
    """Say that what came cannot be read. Never leaves the room."""


class Told(Exception):
    """Repeat a failure that the provider told within its stream: its kind and its words. Never leaves the room."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.words = words


def told_by(body: object) -> tuple[str, str]:
    """Return the kind and the words of an error, wherever a server puts them; nothing where it has none."""
    error: Any = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return "", error if isinstance(error, str) else ""
    kinds = [kind for kind in (error.get("code"), error.get("type")) if isinstance(kind, str) and kind]
    words = error.get("message") or error.get("detail")
    return kinds[0] if kinds else "", words if isinstance(words, str) else ""
