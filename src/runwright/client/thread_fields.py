"""What the API takes about threads, personas, routes and providers, by name."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class ThreadChanges(TypedDict, total=False):
    """The fields of a thread that can be changed."""

    title: str
    persona_id: str | None
    route_id: str | None
    metadata: Mapping[str, str]


class ThreadFields(ThreadChanges, total=False):
    """The fields of a thread."""

    project_id: str


class RetryFields(TypedDict, total=False):
    """What a run that is made again does otherwise."""

    route_id: str | None
    persona_id: str | None
    model: str | None
    budget: Mapping[str, Any] | None
    tools: Sequence[str] | None


class StartFields(RetryFields, total=False):
    """What a run of a thread is asked to be."""

    input: str | Sequence[Mapping[str, Any]] | None
    metadata: Mapping[str, str]
    on_busy: str


class PersonaFields(TypedDict, total=False):
    """The fields of a persona's version."""

    project_id: str
    prompt: str
    description: str
    route: str | None
    model: str | None
    tools: Sequence[str] | None
    denied_tools: Sequence[str]
    temperature: float | None
    risk_threshold: str | None
    answer_within_s: int | None
    budget: Mapping[str, Any]


class RouteChanges(TypedDict, total=False):
    """The fields of a route that can be changed."""

    kind: str
    model: str
    provider: str | None
    price: Mapping[str, Any] | None
    max_output_tokens: int
    context_window: int


class RouteFields(RouteChanges, total=False):
    """The fields of a route."""

    project_id: str
