"""What the API answers about threads, personas, routes and providers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class Thread(Record, kw_only=True):
    """A conversation."""

    id: str
    thread_id: str = ""
    org_id: str | None = None
    project_id: str | None = None
    title: str = ""
    persona_id: str | None = None
    route_id: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None


class Message(Record, kw_only=True):
    """A message of a thread; `content` is what its texts say."""

    id: str
    message_id: str = ""
    thread_id: str = ""
    seq: int = 0
    role: str = ""
    content: str = ""
    parts: list[dict[str, Any]] = msgspec.field(default_factory=list)
    run_id: str | None = None
    created_at: datetime | None = None
    created_by: str | None = None


class StartedRun(Record, kw_only=True):
    """The run that was started in a thread, or that the idempotency key had started before."""

    run_id: str
    trace_id: str = ""
    thread_id: str = ""
    status: str = ""
    idempotency_hit: bool = False


class ThreadRun(Record, kw_only=True):
    """A run of a thread, in short."""

    run_id: str
    status: str = ""
    created_at: datetime | None = None
    thread_id: str = ""
    persona_id: str = ""
    route_id: str = ""
    model: str = ""
    trace_id: str = ""
    retry_of: str | None = None
    finished_at: datetime | None = None


class PendingInput(Record, kw_only=True):
    """Something that a run asks, and waits for."""

    run_id: str
    request_id: str = ""
    project_id: str | None = None
    thread_id: str = ""
    kind: str = ""
    prompt: str = ""
    schema: dict[str, Any] | None = None
    tool_call_id: str | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None


class Accepted(Record, kw_only=True):
    """A run has heard what was said."""

    ok: bool = False


class ErasedThread(Record, kw_only=True):
    """A thread whose data are gone, and of how many runs."""

    thread_id: str
    erased_runs: int = 0


class Persona(Record, kw_only=True):
    """One version of a persona; `persona_id` is `key@version`; its prompt needs the scope `prompts:read`."""

    id: str
    persona_id: str = ""
    key: str = ""
    version: int = 0
    org_id: str | None = None
    project_id: str | None = None
    prompt: str | None = None
    description: str = ""
    route: str | None = None
    model: str | None = None
    tools: list[str] | None = None
    denied_tools: list[str] = msgspec.field(default_factory=list)
    temperature: float | None = None
    risk_threshold: str | None = None
    answer_within_s: int | None = None
    budget: dict[str, Any] = msgspec.field(default_factory=dict)
    created_at: datetime | None = None
    created_by: str | None = None


class Route(Record, kw_only=True):
    """A way to a model; `price` is in millionths of a dollar per million tokens."""

    id: str
    route_id: str = ""
    name: str = ""
    org_id: str | None = None
    project_id: str | None = None
    kind: str = ""
    model: str = ""
    provider: str | None = None
    price: dict[str, Any] | None = None
    max_output_tokens: int = 0
    context_window: int = 0
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None


class PriceStep(msgspec.Struct, kw_only=True):
    """Other prices for the whole of a call whose prompt has more than `above` tokens."""

    above: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0


class ModelPrice(msgspec.Struct, kw_only=True):
    """Prices in millionths of a dollar per million tokens."""

    input: int = 0
    cached: int = 0
    output: int = 0
    source: str = ""
    steps: list[PriceStep] = msgspec.field(default_factory=list)


class Model(Record, kw_only=True):
    """The model of a route; where the server is not `ready` to ask it, `problem` says what to do."""

    id: str
    route_id: str = ""
    route: str = ""
    project_id: str | None = None
    kind: str = ""
    model: str = ""
    provider: str | None = None
    price: ModelPrice | None = None
    context_window: int = 0
    max_output_tokens: int = 0
    ready: bool = False
    problem: str | None = None


class Provider(Record, kw_only=True):
    """What is known of a provider but its key."""

    id: str
    provider_id: str = ""
    name: str = ""
    org_id: str | None = None
    project_id: str | None = None
    kind: str = ""
    base_url: str | None = None
    version: int = 0
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
