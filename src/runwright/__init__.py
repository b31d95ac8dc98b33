"""Runwright: a server that executes and governs runs.

What handlers and callers need is here: `job`, `Worker`, `Context` and its kin, `Client` and `AsyncClient`,
`RunHandle` and `AsyncRunHandle`. Each is imported when it is first asked for, so that the command line starts fast.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runwright.client.api import AsyncClient as AsyncClient
    from runwright.client.blocking import SyncContext as SyncContext
    from runwright.client.context import Context as Context
    from runwright.client.errors import ApiError as ApiError
    from runwright.client.errors import NonRetryable as NonRetryable
    from runwright.client.errors import RetryLater as RetryLater
    from runwright.client.errors import StepOutcomeUnknown as StepOutcomeUnknown
    from runwright.client.handlers import job as job
    from runwright.client.remote import RemoteWorker as RemoteWorker
    from runwright.client.run_handle import AsyncRunHandle as AsyncRunHandle
    from runwright.client.sync.api import Client as Client
    from runwright.client.sync.run_handle import RunHandle as RunHandle
    from runwright.client.worker import Worker as Worker

_HOMES = {
    "ApiError": "errors",
    "AsyncClient": "api",
    "AsyncRunHandle": "run_handle",
    "Client": "sync.api",
    "Context": "context",
    "NonRetryable": "errors",
    "RemoteWorker": "remote",
    "RetryLater": "errors",
    "RunHandle": "sync.run_handle",
    "StepOutcomeUnknown": "errors",
    "SyncContext": "blocking",
    "Worker": "worker",
    "job": "handlers",
}
__all__ = tuple(_HOMES)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"runwright.client.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
