"""The evidence of a run, to take away: `GET /api/v1/runs/{run_id}/evidence`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.api import files
from runwright.api.context import Call
from runwright.api.files import FileAnswer
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.domain.evidence import Profile
from runwright.governance.evidence import SCOPE, Form

routes = Routes(tag="evidence")

ZIP, JSON = "application/zip", "application/json"


class EvidenceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the evidence, and in which form."""

    format: Annotated[
        Literal["json", "zip"] | None,
        Meta(description="`zip` is what can be verified without the server; default: by `Accept`, else `json`."),
    ] = None
    profile: Annotated[
        Literal["full", "auditor", "public"] | None,
        Meta(
            description="`full`: everything; `auditor`: what was decided and what became of it, not what was said;"
            f" `public`: no data at all. Default: `full` for who has the scope `{SCOPE}`, else `public`."
        ),
    ] = None


class TimelineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The events, each as a line of the zip's `timeline.ndjson`; `sha256` is that file's."""

    count: int
    first_seq: int
    last_seq: int
    media_type: str
    sha256: str
    events: list[dict[str, Any]]


class SignedTreeHead(msgspec.Struct, frozen=True, kw_only=True):
    """How long the log was, its root and the hash of its last event, signed; instants in microseconds."""

    size: int
    root: str
    head: str
    signed_at: int
    key_id: str
    signature: str


class EvidenceKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key (Ed25519, hex), and the microseconds between which it signed."""

    key_id: str
    public_key: str
    since: int
    until: int | None


class ChainFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the chain of hashes begins and ends with; the server followed it to write this."""

    genesis: str
    head: str
    verified: bool


class MerkleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The hash tree over the chain."""

    scheme: str
    tree_size: int
    root: str
    tree_head: SignedTreeHead


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """What proves that the log is the one that was written."""

    algorithm: str
    canonicalization: str
    chain: ChainFacts
    merkle: MerkleFacts
    earlier_heads: list[SignedTreeHead]
    keys: list[EvidenceKey]
    manifest_sha256: str


class EvidenceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All that a bundle tells; `sealed` once the run has ended. To verify it without the server, take the zip."""

    schema: str
    run: dict[str, Any]
    profile: Profile
    sealed: bool
    generator: dict[str, str]
    integrity: Integrity
    redaction: dict[str, Any]
    findings: dict[str, Any]
    gates: list[dict[str, Any]]
    approvals: list[dict[str, Any]]
    usage: dict[str, Any]
    artifacts: list[dict[str, Any]]
    attestations: list[dict[str, Any]]
    audit: list[int]
    zip_href: str
    timeline: TimelineFacts


@addresses.get(
    routes,
    "/{run_id}/evidence",
    "/v1/runs/{run_id}/evidence",
    scope="runs:read",
    media=ZIP,
    headers=files.HEADERS,
    answer_headers=files.ANSWER_HEADERS,
    answers=files.ANSWERS | {410: "Retention has removed the log of the run", 413: "The bundle would be too large"},
    summary="Export a run's evidence",
)
async def get_evidence(call: Call, run_id: str, query: EvidenceQuery) -> FileAnswer | Reply[EvidenceDocument]:
    """Answer with the log of a run, the proof that it is whole, what became of it, and its values, as a file."""
    form: Form = query.format or ("zip" if ZIP in (call.header("accept") or "") else "json")
    profile: Profile = query.profile or ("full" if call.actor.allows(SCOPE) else "public")
    bundle = await call.services.evidence.export(call.actor, run_id, profile, form)
    try:
        held, span = files.spans(call.scope["method"], call.header, bundle.etag, bundle.size)
    except BaseException:
        bundle.close()
        raise
    name, media = f"{run_id}.evidence.{form}", ZIP if form == "zip" else JSON
    return FileAnswer(
        bundle.etag, bundle.size, bundle.pieces, span=span, held=held, name=name, media=media, done=bundle.close
    )
