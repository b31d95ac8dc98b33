"""The artifacts of a run: what it was given, gave and kept, redacted, each as a file of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runwright.api import files, instants
from runwright.api.context import Call
from runwright.api.files import FileAnswer
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.api.slices import sliced
from runwright.engine.kept_values import KeptValue
from runwright.engine.reader import require_data

routes = Routes(tag="evidence")

ERASED = {410: "The data of the run were erased, or removed by retention"}
JSON = "application/json"


class RuntimeArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a run; `redacted`: it is shown otherwise than it is. `sha256` and `bytes` are of what is shown."""

    artifact_id: Annotated[str, Meta(description="The run's id, the kind of value, and its key.")]
    run_id: str
    kind: str
    key: str
    media_type: str
    bytes: int
    sha256: str
    redacted: bool
    href: str
    created_at: str


@addresses.get(routes, "/{run_id}/artifacts", scope="runs:read", answers=ERASED, summary="List a run's values")
async def list_run_values(call: Call, run_id: str, query: PageQuery) -> Page[RuntimeArtifact]:
    """List what the run was given, gave and kept, redacted, oldest first; what the caller may not read is left out."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_data(record)
    names = [(name.created_at, name) for name in await reader.kept.names(record)]
    page = sliced(query.window(call.services.settings, order="asc"), names, lambda name: name.ident)
    return Page([_view(run_id, await reader.kept.one(record, name.ident)) for name in page.items], page.next_cursor)


@addresses.get(
    routes,
    "/{run_id}/artifacts/{artifact_id}",
    scope="runs:read",
    headers=files.HEADERS,
    answer_headers=files.ANSWER_HEADERS,
    answers=files.ANSWERS | ERASED,
    summary="Download a value of a run",
)
async def download_run_value(call: Call, run_id: str, artifact_id: str) -> FileAnswer | Reply[Any]:
    """Answer with the JSON of a value, redacted, whole or a range of it; the ETag is the SHA-256 of it."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_data(record)
    data = (await reader.kept.one(record, artifact_id)).shown or b""
    digest = sha256(data).hexdigest()
    held, span = files.spans(call.scope["method"], call.header, digest, len(data))

    async def pieces(start: int, stop: int) -> AsyncGenerator[bytes]:
        yield data[start:stop]

    return FileAnswer(digest, len(data), pieces, span=span, held=held, name=f"{artifact_id}.json", media=JSON)


def _view(run_id: str, value: KeptValue) -> RuntimeArtifact:
    shown = value.shown or b""
    return RuntimeArtifact(
        artifact_id=value.ident,
        run_id=run_id,
        kind=value.kind,
        key=value.key,
        media_type=JSON,
        bytes=len(shown),
        sha256=sha256(shown).hexdigest(),
        redacted=value.redacted,
        href=f"{addresses.RUNS}/{run_id}/artifacts/{value.ident}",
        created_at=instants.text(value.created_at),
    )
