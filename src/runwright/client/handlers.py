"""Handlers: the functions that do the work of jobs, with the options of their jobs."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, get_type_hints, overload

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.client.blocking import SyncContext
from runwright.client.context import Context
from runwright.client.errors import PayloadInvalid
from runwright.client.fields import BatchWindow, DebounceWindow, EventTrigger, RateLimit

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", Context, SyncContext)

RetryStrategy = Literal["exponential", "linear", "fixed", "custom"]
RetryJitter = Literal["full", "proportional", "none"]
CatchUp = Literal["skip", "one", "all"]
Overlap = Literal["allow", "skip", "cancel"]

# What the jobs API takes, so that a wrong option fails where it is written; a test holds the two together.
_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,127}(?!\n)$")]
_Queue = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}(?!\n)$")]
_Delay = Annotated[int, Meta(ge=0, le=2_592_000)] | Annotated[float, Meta(ge=0, le=2_592_000)]
_Timeout = Annotated[int, Meta(ge=1, le=86_400)] | Annotated[float, Meta(ge=1, le=86_400)]
_Slots = Annotated[int, Meta(ge=1, le=1_000_000)]


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a job that a decorator may give; what is not given is left to the server."""

    slug: _Slug
    name: _Name | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    queue: _Queue | UnsetType = UNSET
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    timeout_secs: _Timeout | UnsetType = UNSET
    retry_strategy: RetryStrategy | UnsetType = UNSET
    retry_initial_delay_secs: _Delay | UnsetType = UNSET
    retry_max_delay_secs: _Delay | UnsetType = UNSET
    retry_delays_secs: Annotated[list[_Delay], Meta(max_length=100)] | UnsetType = UNSET
    retry_jitter: RetryJitter | UnsetType = UNSET
    max_concurrency: _Slots | UnsetType = UNSET
    max_concurrency_per_key: _Slots | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=0, le=10)] | UnsetType = UNSET
    rerun_unknown_steps: bool | UnsetType = UNSET
    cron: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    payload_template: dict[str, Any] | UnsetType = UNSET
    payload_schema: dict[str, Any] | UnsetType = UNSET
    result_schema: dict[str, Any] | UnsetType = UNSET
    execution_window_cron: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    dedup_window_secs: Annotated[int, Meta(ge=1, le=86_400)] | UnsetType = UNSET
    debounce: DebounceWindow | UnsetType = UNSET
    batch: BatchWindow | UnsetType = UNSET
    event_triggers: list[EventTrigger] | UnsetType = UNSET
    run_ttl_secs: Annotated[int, Meta(ge=1, le=2_592_000)] | Annotated[float, Meta(ge=1, le=2_592_000)] | UnsetType = (
        UNSET
    )
    poison_pill_threshold: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    rate_limit: RateLimit | UnsetType = UNSET
    environment: _Slug | UnsetType = UNSET
    webhook_url: Annotated[str, Meta(max_length=2048)] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """Return the fields that were given, as the jobs API names them."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


class Handler(Generic[P, R]):
    """A function with the options of its job. Calling it calls the function, as in a unit test."""

    def __init__(self, fn: Callable[P, R], options: JobOptions) -> None:
        self.fn = fn
        self.options = options
        self.is_async = inspect.iscoroutinefunction(fn)
        self._parameters = _positional(fn)
        functools.update_wrapper(self, fn)

    @property
    def slug(self) -> str:
        """The slug of the job."""
        return self.options.slug

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no run, no context but the one given."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Handler {self.slug!r}: {getattr(self.fn, '__qualname__', self.fn)}>"

    @functools.cached_property
    def payload_type(self) -> Any:
        """The annotation of the payload's parameter; `Any` where there is none. Raises `TypeError` if JSON cannot be
        converted to it.
        """  # fmt: skip
        if len(self._parameters) < 2:
            return Any
        annotation = get_type_hints(self.fn).get(self._parameters[1], Any)
        try:
            known = msgspec.inspect.type_info(annotation)
        except TypeError as error:
            raise TypeError(f"{self!r} cannot take a payload of {annotation}: {error}") from None
        if isinstance(known, msgspec.inspect.CustomType):
            raise TypeError(
                f"{self!r} cannot take a payload of {annotation}: use a dict, TypedDict, dataclass or msgspec.Struct."
            )
        return annotation

    @functools.cached_property
    def _takes_any(self) -> bool:
        return self.payload_type is Any

    @functools.cached_property
    def _takes_objects(self) -> bool:
        return self.payload_type in (dict, dict[str, Any], Mapping, Mapping[str, Any])

    def arguments(self, payload: Any) -> tuple[Any, ...]:
        """Return what follows the context in a call: the payload as its annotation says, or nothing at all.

        Raises `PayloadInvalid` where the payload does not fit.
        """
        if len(self._parameters) < 2:
            return ()
        if self._takes_any or (self._takes_objects and isinstance(payload, dict)):
            return (payload,)
        try:
            return (msgspec.convert(payload, self.payload_type),)
        except (msgspec.ValidationError, ValueError, TypeError) as error:  # a __post_init__ may raise the latter two
            raise PayloadInvalid(f"The payload is not what {self.slug!r} takes: {error}.") from None


@overload
def job(fn: Callable[Concatenate[C, P], R], /) -> Handler[Concatenate[C, P], R]: ...


@overload
def job(
    *,
    slug: str | None = None,
    name: str | None = None,
    description: str | None = None,
    queue: str | None = None,
    max_attempts: int | None = None,
    timeout_secs: float | None = None,
    retry_strategy: RetryStrategy | None = None,
    retry_initial_delay_secs: float | None = None,
    retry_max_delay_secs: float | None = None,
    retry_delays_secs: Sequence[float] | None = None,
    retry_jitter: RetryJitter | None = None,
    max_concurrency: int | None = None,
    max_concurrency_per_key: int | None = None,
    priority: int | None = None,
    rerun_unknown_steps: bool | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    catch_up: CatchUp | None = None,
    overlap: Overlap | None = None,
    payload_template: Mapping[str, Any] | None = None,
    payload_schema: Mapping[str, Any] | None = None,
    result_schema: Mapping[str, Any] | None = None,
    execution_window_cron: str | None = None,
    dedup_window_secs: int | None = None,
    debounce: DebounceWindow | None = None,
    batch: BatchWindow | None = None,
    event_triggers: Sequence[EventTrigger] | None = None,
    run_ttl_secs: float | None = None,
    poison_pill_threshold: int | None = None,
    rate_limit: RateLimit | None = None,
    environment: str | None = None,
    webhook_url: str | None = None,
) -> Callable[[Callable[Concatenate[C, P], R]], Handler[Concatenate[C, P], R]]: ...


def job(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function the handler of a job, as `@job` or `@job(max_attempts=5, …)`.

    The function takes a `Context` (or, if it is not `async`, a `SyncContext`) and, if it wants it, the payload. The
    slug defaults to the function's name with dashes, the description to the first line of its docstring. An option
    that the jobs API would refuse raises `ValueError` here.
    """
    return _handler(fn, options) if fn is not None else lambda function: _handler(function, options)


def _handler(fn: Callable[..., Any], options: Mapping[str, Any]) -> Handler[Any, Any]:
    if not 1 <= len(_positional(fn)) <= 2:
        raise TypeError(f"The handler {fn!r} must take a context and, if it wants it, a payload: (ctx, payload).")
    unknown = set(options) - {field.name for field in msgspec.structs.fields(JobOptions)}
    if unknown:
        raise TypeError(f"job() has no option {', '.join(sorted(unknown))}.")
    name = getattr(fn, "__name__", type(fn).__name__)
    given = {key: value for key, value in options.items() if value is not None}
    fields = {"slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), **_described(fn), **given}
    try:
        return Handler(fn, msgspec.convert(fields, JobOptions))
    except msgspec.ValidationError as error:
        raise ValueError(f"The options of the handler {name!r} are not valid: {error}.") from None


def _described(fn: Callable[..., Any]) -> dict[str, str]:
    text = inspect.getdoc(fn)
    return {"description": text.splitlines()[0][:2000]} if text else {}


def _positional(fn: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fn).parameters.values()
    required = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if required:
        raise TypeError(f"The handler {fn!r} has keyword-only parameters without a default; nobody would give them.")
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


__all__ = ["CatchUp", "Handler", "JobOptions", "Overlap", "RetryJitter", "RetryStrategy", "job"]
