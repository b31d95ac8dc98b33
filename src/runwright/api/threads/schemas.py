"""The shapes of threads, messages, runs of threads and inputs on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.pages import PageQuery
from runwright.domain.agent_terms import Budget, Tool
from runwright.domain.job_options import Metadata
from runwright.domain.question import Asks, Mode
from runwright.domain.thread import PARTS_MAX, OnBusy, Role, Title, UserPart

ProjectIdent = Annotated[str, Meta(description="Its project, by id or slug; default: the key's, else `default`.")]
PersonaIdent = Annotated[str, Meta(max_length=128, description="`key@version`, or `key` for the latest.")]
RouteIdent = Annotated[str, Meta(max_length=128, description="A route, by id or by its name in the project.")]
Parts = Annotated[tuple[UserPart, ...], Meta(min_length=1, max_length=PARTS_MAX)]
ModelName = Annotated[str, Meta(max_length=256)]
ThreadWord = Literal[
    "queued", "running", "cancelling", "waiting_for_input", "paused", "completed", "failed", "cancelled"
]


class CreateThreadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new thread of a project, and what its runs are made with unless they say otherwise."""

    project_id: ProjectIdent | None = None
    title: Title = ""
    persona_id: PersonaIdent | None = None
    route_id: RouteIdent | None = None
    metadata: Metadata = {}


class UpdateThreadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a thread; a field that is named is replaced whole."""

    title: Title | UnsetType = UNSET
    persona_id: PersonaIdent | UnsetType | None = UNSET
    route_id: RouteIdent | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class ThreadListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of threads; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    thread_id: str
    org_id: str
    project_id: str
    title: str
    persona_id: str | None
    route_id: str | None
    metadata: dict[str, str]
    created_at: str
    created_by: str
    updated_at: str


class AddMessageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message: a text, or parts."""

    role: Literal["user", "assistant", "system"] = "user"
    content: Annotated[str, Meta(min_length=1, max_length=262_144)] | None = None
    parts: Parts | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a thread, the `seq`th that it ever had; `content` is what its texts say."""

    id: str
    message_id: str
    thread_id: str
    seq: int
    role: Role
    content: str
    parts: list[dict[str, Any]]
    run_id: str | None
    created_at: str
    created_by: str


class StartRunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run; what is absent, null or empty is the thread's, else the project's default."""

    route_id: RouteIdent | None = None
    persona_id: PersonaIdent | None = None
    model: ModelName | None = None
    input: Annotated[str, Meta(max_length=262_144)] | Parts | None = None
    budget: Budget | None = None
    tools: Annotated[tuple[Tool, ...], Meta(max_length=64)] | None = None
    metadata: Metadata = {}
    on_busy: OnBusy = "reject"


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the run that is made again does otherwise than the original."""

    route_id: RouteIdent | None = None
    persona_id: PersonaIdent | None = None
    model: ModelName | None = None
    budget: Budget | None = None
    tools: Annotated[tuple[Tool, ...], Meta(max_length=64)] | None = None


class StartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to answer: at once, when the run has ended (after `wait` seconds at most), or with its stream."""

    wait: Annotated[float, Meta(ge=0, le=60)] = 0
    stream: bool = False


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was made, or that the idempotency key had made before, and where it stands."""

    run_id: str
    trace_id: str
    thread_id: str
    status: ThreadWord
    idempotency_hit: bool


class ThreadRunsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a list of a thread's runs."""


class ThreadRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a thread, in short; `GET /v1/runs/{run_id}` has all of it."""

    run_id: str
    status: ThreadWord
    created_at: str
    thread_id: str
    persona_id: str
    route_id: str
    model: str
    trace_id: str
    retry_of: str | None
    finished_at: str | None


class InputRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to say to a run: the answer to what it asks, or a word by the way (`steer`)."""

    content: Annotated[str, Meta(description="1 to 32 768 bytes of UTF-8; a form, or a decision, as JSON text.")]
    request_id: Annotated[str, Meta(max_length=128)] | None = None
    mode: Mode = "answer"


class Accepted(msgspec.Struct, frozen=True):
    """The run has heard it."""

    ok: bool


class InputsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests for input to list: those that wait for an answer."""

    status: Literal["pending"] = "pending"
    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class PendingInput(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run asks, and waits for."""

    run_id: str
    request_id: str
    project_id: str
    thread_id: str
    kind: Asks
    prompt: str
    schema: dict[str, Any] | None
    tool_call_id: str | None
    expires_at: str | None
    created_at: str


class ErasedThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread whose data are gone, and of how many runs."""

    thread_id: str
    erased_runs: int


class RunValue(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent run keeps under a digest that its log names, redacted.

    A `prompt` is a message that the model was told, or what it was told first, with its tools; a `tool_output` is a
    text; a `snapshot` has the `files` of the workspace, of which `truncated` says that not every text is shown.
    """

    run_id: str
    digest: str
    kind: Literal["prompt", "tool_output", "snapshot"]
    value: Any
    truncated: bool
    created_at: str
