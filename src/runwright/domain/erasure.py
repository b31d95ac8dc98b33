"""Take the data of a run away and leave its chain: what stays verifies as before, and tells nothing of the data.

An event keeps the digest of its data where its salt stood; its level, epoch and message, which only the digest covered,
take one fixed form. The opening keeps ids, instants and numbers. The digest of the opening as it was goes on being the
genesis of the chain; what the erasure left is bound by its entry in the audit log (`Erased`).
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.domain.chain import body, data_digest
from runwright.domain.delivery_terms import COMMITTER
from runwright.domain.events import Event
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Spec, ValueRef
from runwright.domain.runtime_terms import RuntimeTerms

ACTION = "run.erased"
_NO_VALUE = ValueRef("", 0, RedactedText(""))

_encode = msgspec.json.Encoder(order="deterministic").encode
_spec = msgspec.json.Decoder(Spec).decode


class Erased(msgspec.Struct, frozen=True):
    """What the audit log keeps of an erasure: head and genesis of the chain, and the digest of what is left of the
    opening, in hex.
    """

    seq: int
    hash: str
    genesis: str
    opening: str


def without_data(event: Event) -> Event:
    """Return an event whose data, salt and message are gone; one without data stays as it is."""
    if event.data is None:
        return event
    digest = data_digest(event.salt, body(event.level, event.lease_epoch, event.message, event.data))
    return replace(event, level="info", message="", data=None, salt=digest, lease_epoch=0)


def opening_without_data(opening: bytes) -> bytes:
    """Return the bytes of a spec without what users wrote: payload, tags, metadata, keys, and the names of people."""
    was = _spec(opening)
    spec = replace(
        was,
        payload=_NO_VALUE,
        tags={},
        metadata={},
        idempotency_key=None,
        concurrency_key=None,
        dependency_key=None,
        limits=(),  # their keys hold the concurrency key
        gather=None if was.gather is None else replace(was.gather, key=""),
        created_by_user_name=None,
        created_by_email=None,
        runtime=None if was.runtime is None else _anonymous(was.runtime),
    )
    return _encode(spec)


def _anonymous(terms: RuntimeTerms) -> RuntimeTerms:
    loop, delivery = None if terms.loop is None else LoopTerms(), terms.delivery
    if delivery is not None:
        delivery = replace(delivery, message="", author=COMMITTER, branch="", base=None, pull_request=None)
    return replace(terms, repo=None, ref=None, objective="", steps=(), loop=loop, delivery=delivery)


def receipt(seq: int, head: bytes, genesis: bytes, opening: bytes) -> Erased:
    """Return what the audit log is to keep of an erasure; `opening` is what is left of it."""
    return Erased(seq, head.hex(), genesis.hex(), sha256(opening).hexdigest())
