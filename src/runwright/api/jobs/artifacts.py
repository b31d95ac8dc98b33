"""Artifacts: bytes by their digest, uploaded and read back as streams, and those that the values of a run lie in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api import files, instants
from runwright.api.context import Call
from runwright.api.files import FileAnswer
from runwright.api.routing import Reply, Routes
from runwright.engine.artifacts import Lying
from runwright.store.queries.artifacts import Uploaded

routes = Routes(tag="artifacts")


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that were uploaded, under their digest."""

    digest: Annotated[str, Meta(description="The SHA-256 of the bytes, in hex.")]
    size: int
    created_at: str


class RunArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a run that lies in an artifact of its own; `size` is null where the file is lost."""

    id: str
    run_id: str
    kind: str
    key: str
    digest: str
    size: int | None
    sealed: Annotated[bool, Meta(description="Encrypted: read the value where the run shows it, not the bytes.")]
    created_at: str


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an upload."""

    project_id: Annotated[str | None, Meta(description="Id or slug of a project; default: the caller's.")] = None


@routes.post(
    "/v1/artifacts",
    scope="runs:write",
    status=201,
    limit="artifact_max_bytes",
    answers={200: "The same bytes were uploaded before", 404: "There is no such project"},
    summary="Upload an artifact",
)
async def upload_artifact(call: Call, query: UploadQuery, parts: AsyncIterator[bytes]) -> Reply[Artifact]:
    """Store the body, of any media type, as it comes; the same bytes again are the same artifact."""
    project = await call.services.tenants.resolve_project(call.actor, query.project_id)
    made, new = await call.services.engine.operations.artifacts.upload(call.actor, project, parts)
    return Reply(_view(made), status=201 if new else 200)


@routes.get(
    "/v1/artifacts/{digest}",
    scope="runs:read",
    media=files.MEDIA_TYPE,
    headers=files.HEADERS,
    answer_headers=files.ANSWER_HEADERS,
    answers=files.ANSWERS | {409: "The artifact is a sealed value of a run"},
    summary="Download an artifact",
)
async def download_artifact(call: Call, digest: str) -> FileAnswer:
    """Answer with bytes that the caller's organization uploaded, whole or a range of them."""
    artifacts = call.services.engine.operations.artifacts
    found = await artifacts.find(call.actor, digest)
    held, span = files.spans(call.scope["method"], call.header, digest, found.size)
    return FileAnswer(
        digest, found.size, lambda start, stop: artifacts.pieces(digest, start, stop), span=span, held=held
    )


def lying_id(run_id: str, value: Lying) -> str:
    """Return under which id a value that lies in an artifact is listed."""
    return f"{run_id}.{value.kind}.{value.key}"


def lying_view(run_id: str, value: Lying, size: int | None) -> RunArtifact:
    """Return a value that lies in an artifact of so many bytes; None where its file is not there."""
    return RunArtifact(
        id=lying_id(run_id, value),
        run_id=run_id,
        kind=value.kind,
        key=value.key,
        digest=value.digest,
        size=size,
        sealed=True,  # all values of runs are
        created_at=instants.text(value.created_at),
    )


def _view(uploaded: Uploaded) -> Artifact:
    return Artifact(digest=uploaded.digest, size=uploaded.size, created_at=instants.text(uploaded.created_at))
