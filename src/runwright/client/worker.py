"""A worker: the handlers that one process offers, by the slug of their jobs."""

import importlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from runwright.client.handlers import Handler


class Worker:
    """Hold handlers by slug. `runwright serve --worker module:app` finds it as `app` in `module`."""

    def __init__(self, handlers: Iterable[Handler[..., Any]]) -> None:
        by_slug: dict[str, Handler[..., Any]] = {}
        for handler in handlers:
            if not isinstance(handler, Handler):
                raise TypeError(f"A Worker takes functions decorated with @job, not {handler!r}.")
            if handler.slug in by_slug:
                raise ValueError(
                    f"Two handlers have the slug {handler.slug!r}; give one of them another: @job(slug=…)."
                )
            _ = handler.payload_type  # a type that JSON cannot be converted to is refused here, not at the first run
            by_slug[handler.slug] = handler
        self.handlers: Mapping[str, Handler[..., Any]] = MappingProxyType(by_slug)

    def __repr__(self) -> str:
        return f"<Worker {', '.join(self.handlers)}>"


def load_worker(path: str) -> Worker:
    """Import the worker that `path` names as `module:name`.

    A `Handler` there counts as a worker of one. Raises `LookupError` with a sentence for people where there is none.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise LookupError(f"There is no module {module_name!r} to load {path!r} from.") from None
    found = getattr(module, name or "app", None)
    if isinstance(found, Handler):
        return Worker([found])
    if not isinstance(found, Worker):
        raise LookupError(f"{module_name!r} has no Worker named {name or 'app'!r}; write: app = Worker([handler, …])")
    return found
