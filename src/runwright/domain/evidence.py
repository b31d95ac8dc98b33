"""The forms of an evidence bundle: what is signed, what a line of the timeline holds, and what each profile shows.

A leaf of the run's hash tree (`domain.tree`) is the chain's hash of an event, and that covers a salted digest in place
of the data. So a bundle that withholds data has the same leaves, and the same root, as one that shows all.

Whatever is signed is signed in one form, that of DSSE: the type of the payload is part of what is signed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

import msgspec

from runwright.domain.chain import body, data_digest
from runwright.domain.delivery_events import Committed
from runwright.domain.events import CATALOGUE, Event, Kind
from runwright.domain.tree import Tree

Profile = Literal["full", "auditor", "public"]
PROFILES: tuple[Profile, ...] = ("full", "auditor", "public")

FORMAT = "runwright-evidence/1"
TREE_HEAD_TYPE = "application/vnd.runwright.tree-head+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
RUN_PREDICATE = "urn:runwright:predicate:run:v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
DELIVERED = "urn:runwright:build:delivery:v1"
"""How a commit came about, to SLSA: a delivery made it of the tree of a run."""

SIGNED = "evidence.signed"
"""The entry of the audit log that a tree head was signed: it holds the head."""
EXPORTED = "evidence.exported"
"""The entry that a bundle was handed out."""

_AUDITED: frozenset[Kind] = frozenset({"lifecycle", "governance", "finding", "budget", "checkpoint", "system"})
_encode = msgspec.json.Encoder(order="deterministic").encode
_quote = msgspec.json.Encoder().encode


class TreeHead(msgspec.Struct, frozen=True):
    """What is signed of a log: how many events it had, their root, the hash of the last; in the order of RFC 8785."""

    head: str
    root: str
    run_id: str
    signed_at: int
    size: int


class SignedHead(msgspec.Struct, frozen=True):
    """A tree head with its signature (hex), as the audit log keeps it."""

    size: int
    root: str
    head: str
    signed_at: int
    key_id: str
    signature: str


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed of a payload: the pre-authentication encoding of DSSE 1.0."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)


def signed_head(head: TreeHead) -> bytes:
    """Return what is signed of a tree head."""
    return signed_bytes(TREE_HEAD_TYPE, _encode(head))


def fingerprint(public_key: bytes) -> str:
    """Return the name of a public key: the SHA-256 of its 32 bytes, in hex."""
    return sha256(public_key).hexdigest()


def envelope(payload: bytes, key_id: str, signature: bytes) -> bytes:
    """Return the DSSE envelope of a statement that was signed, as `signed_bytes` has it."""
    signatures = [{"keyid": key_id, "sig": b64encode(signature).decode()}]
    return document({"payload": b64encode(payload).decode(), "payloadType": STATEMENT_TYPE, "signatures": signatures})


def statement(subjects: Mapping[str, str], predicate: Mapping[str, Any]) -> bytes:
    """Return the in-toto statement (v1) of a run about the files with these digests."""
    return _encode(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
            "predicateType": RUN_PREDICATE,
            "predicate": dict(predicate),
        }
    )


def provenance(delivery_id: str, told: Committed) -> bytes:
    """Return the in-toto statement (v1) of a commit that a delivery made: SLSA's provenance."""
    base = [] if told.base_sha is None else [{"uri": told.repo, "digest": {"gitCommit": told.base_sha}}]
    predicate = {
        "buildDefinition": {
            "buildType": DELIVERED,
            "externalParameters": {"run_id": told.run_id, "branch": told.branch},
            "internalParameters": {"tree_sha": told.tree_sha, "checkpoint_id": told.checkpoint_id},
            "resolvedDependencies": base,
        },
        "runDetails": {
            "builder": {"id": "urn:runwright"},
            "metadata": {"invocationId": delivery_id},
            "byproducts": [{"name": "bundle", "digest": {"sha256": told.bundle_sha256}}],
        },
    }
    subject = [{"name": told.repo, "digest": {"gitCommit": told.commit_sha}}]
    about = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": PROVENANCE}
    return _encode(about | {"predicate": predicate})


def document(value: Any) -> bytes:
    """Return a document of the bundle: sorted keys, one line."""
    return _encode(value) + b"\n"


def shows(profile: Profile, type: str) -> bool:
    """Tell whether a profile shows the data of events of a type.

    An auditor sees what was decided, by whom, and what became of it; not what models, tools and people said.
    """
    entry = CATALOGUE.get(type)
    return profile == "full" or (profile == "auditor" and entry is not None and entry.kind in _AUDITED)


class Log:
    """Follow the log of a run, event by event from the first, and grow the tree over it."""

    __slots__ = ("_run_id", "hash", "run_id", "tree")

    def __init__(self, run_id: str, genesis: bytes) -> None:
        self.run_id = run_id
        self.hash = genesis
        self.tree = Tree()
        self._run_id = _quote(run_id)

    def step(self, event: Event) -> bytes | None:
        """Take the next event and return the digest of its data, in hex; None for one that does not belong there."""
        if event.seq != self.tree.size + 1 or event.run_id != self.run_id:
            return None
        if event.data is None:
            kept = event.link().digest
            if kept is None:
                return None
            digest = kept.hex().encode()
        else:
            covered = body(event.level, event.lease_epoch, event.message, event.data)
            digest = data_digest(event.salt, covered).hex().encode()
        # What `chain.link` hashes, written out: the hash is compared with what that made, and this is twice as fast.
        header = b'{"actor":%b,"created_at":%d,"data_digest":"%b","run_id":%b,"seq":%d,"type":%b,"usage":{}}' % (
            _quoted(event.actor),
            event.created_at,
            digest,
            self._run_id,
            event.seq,
            _quoted(event.type),
        )
        hashed = sha256(b"\x01" + self.hash + header).digest()
        if hashed != event.hash:
            return None
        self.hash = hashed
        self.tree.add(hashed)
        return digest


def unlike(heads: Iterable[SignedHead], events: Iterable[Event]) -> int | None:
    """Return of how many events a head was signed that a log does not begin with; None where it has them all.

    A log that somebody chained anew, from a changed event on, verifies by itself, and not against what was signed.
    """
    roots, tree = {head.size: head.root for head in heads}, Tree()
    for event in events if roots else ():
        tree.add(event.hash)
        if tree.size in roots and roots.pop(tree.size) != tree.root.hex():
            return tree.size
    return min(roots, default=None)


@lru_cache(maxsize=256)
def _quoted(text: str) -> bytes:
    return _quote(text)


def line(event: Event, digest: bytes, *, withheld: bool) -> bytes:
    """Return an event as the timeline holds it, on one line; its data stand last, byte for byte as they are stored.

    What is `withheld` is gone with all that its digest covers beside it: level, epoch, message and salt.
    """
    head = b'{"seq":%d,"type":%b,"actor":%b,"created_at":%d,"usage":{},"data_digest":"%b","hash":"%b",' % (
        event.seq,
        _quoted(event.type),
        _quoted(event.actor),
        event.created_at,
        digest,
        event.hash.hex().encode(),
    )
    data = event.data
    if data is None or withheld:
        return head + b'"withheld":true}\n'
    shown = b'%b"level":"%b","lease_epoch":%d,"message":%b,"salt":"%b",' % (
        head,
        event.level.encode(),
        event.lease_epoch,
        _quote(event.message),
        event.salt.hex().encode(),
    )
    if b"\n" in data:  # JSON that somebody wrote over several lines: as a text it is on one, and still exact
        return b'%b"data_text":%b}\n' % (shown, _quote(data.decode()))
    return b'%b"data":%b}\n' % (shown, data)
