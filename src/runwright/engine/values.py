"""Working values: sealed as they are for the attempt, described by digest and redacted preview in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from runwright.domain.commands import Delivery, Value
from runwright.domain.gathering import context, frame, sealed_parts
from runwright.domain.ports import ArtifactStore, ProjectSealer
from runwright.domain.redaction import RedactedText, shorten
from runwright.domain.run import Run, Spec, ValueRef
from runwright.domain.secrets import Provision
from runwright.domain.signal import Signal
from runwright.engine.large import LARGE_BYTES, apart, bytes_of, text_of
from runwright.engine.vault import Vault
from runwright.errors import InvalidRequest, TooLarge
from runwright.store.base import StoredValue

PREVIEW_CHARS = 256
STEP = "step"
"""The kind of value that a run's code finds again as the result of what it did, or waited for."""
INPUT = "input"
"""The kind of value that is the exact answer to what a run asked, under the id of the request."""
KEYS = "keys"
"""The kind of value that is what a person typed for a command, under the id of that, until the command has it."""
DEPTH_MAX = 200
"""Objects and arrays in one another: whoever reads a value walks down, and a stack has an end."""
_LOOK_AHEAD = 4096  # a secret that begins inside the preview ends within this many bytes, or is no known secret

_encode = msgspec.json.Encoder(order="deterministic").encode
_EMPTY = b"{}"
_EMPTY_REF = ValueRef(sha256(_EMPTY).hexdigest(), len(_EMPTY), RedactedText("{}"))


def encode(value: Any) -> bytes:
    """Return the JSON of a working value.

    Raises `InvalidRequest` for what is not JSON (`value.not_json`) or nested too deeply (`value.too_deep`).
    """
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as broken:
        raise InvalidRequest(f"the value is not JSON: {broken}", code="value.not_json") from broken
    if encoded.count(b"{") + encoded.count(b"[") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        raise InvalidRequest(f"the value has more than {DEPTH_MAX} levels", code="value.too_deep")
    return encoded


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list | tuple)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


class Values:
    """Seals and opens the values of runs; large ones live in the artifact store."""

    def __init__(
        self,
        vault: Vault,
        sealer: ProjectSealer,
        artifacts: ArtifactStore,
        inline_max_bytes: int,
        max_bytes: int,
        state_max_bytes: int,
    ) -> None:
        self._vault = vault
        self._sealer = sealer
        self._artifacts = artifacts
        self._inline_max_bytes = inline_max_bytes
        self._max_bytes = max_bytes
        self._state_max_bytes = state_max_bytes

    async def ensure(self, project_ids: Iterable[str]) -> None:
        """Have keys and secrets of these projects at hand: another process may have made them."""
        await self._vault.provisions.ensure(set(project_ids))

    async def provision(self, run: Run) -> Provision:
        """Return the secrets and variables that an attempt of a run is given. Raises `NotFound`."""
        return await self._vault.provisions.of(run)

    def ref(self, project_id: str, encoded: bytes, digest: str | None = None) -> ValueRef:
        """Return what a record says of a value: digest, which may be known already, size, redacted preview."""
        if encoded == _EMPTY:
            return _EMPTY_REF
        seen = self._vault.redactors.of(project_id).text(
            encoded[: PREVIEW_CHARS + _LOOK_AHEAD].decode("utf-8", "ignore")
        )
        return ValueRef(digest or sha256(encoded).hexdigest(), len(encoded), shorten(seen, PREVIEW_CHARS))

    def seal(self, project_id: str, run_id: str, name: str, encoded: bytes) -> bytes:
        """Return a value of the run's own row (`payload`, `result`) sealed. Raises `TooLarge`."""
        if len(encoded) > self._max_bytes:
            raise TooLarge(f"the {name} has {len(encoded)} bytes, at most {self._max_bytes} are kept")
        return self._sealer.seal(project_id, encoded, f"{run_id}/{name}")

    def hand_over(self, run: Run, signal: Signal) -> Delivery:
        """Return the payload of a signal as the run that waited for it finds it."""
        payload = self.open(signal.project_id, signal.signal_id, "payload", signal.sealed)
        return self.deliver(run, payload)

    def deliver(self, run: Run, value: Any) -> Delivery:
        """Return a value as the result of the step of the run that its wait is: sealed, and what the log says of it."""
        assert run.wait is not None
        name, spec = run.wait.name, run.spec
        encoded = encode(value)
        sealed = self._sealer.seal(spec.project_id, b'{"result":%b}' % encoded, f"{spec.run_id}/{STEP}/{name}")
        return Delivery(name, self.ref(spec.project_id, encoded), sealed)

    def shown(self, project_id: str, value: Any) -> Any:
        """Return a working value as readers see it: the same JSON, redacted."""
        return None if value is None else msgspec.json.decode(self._vault.redactors.of(project_id).data(value))

    def open(self, project_id: str, run_id: str, name: str, sealed: bytes | None) -> Any:
        """Return a value of the run's own row; None when there is none."""
        if sealed is None:
            return None
        return msgspec.json.decode(self._sealer.open(project_id, sealed, f"{run_id}/{name}"))

    def seal_payload(self, spec: Spec, encoded: bytes) -> bytes:
        """Return the payload of a run sealed, as its row keeps it. Raises `TooLarge`."""
        if spec.gather is None:
            return self.seal(spec.project_id, spec.run_id, "payload", encoded)
        run, _, name = context(spec).rpartition("/")
        sealed = self.seal(spec.project_id, run, name, encoded)
        return frame(sealed) if spec.gather.kind == "batch" else sealed

    def payload(self, spec: Spec, stored: bytes | None) -> Any:
        """Return the payload of a run, exact: of a batch, the items in the order in which they came."""
        if stored is None:
            return None
        if spec.gather is None:
            return self.open(spec.project_id, spec.run_id, "payload", stored)
        parts = [self._sealer.open(spec.project_id, sealed, context(spec)) for sealed in sealed_parts(spec, stored)]
        if spec.gather.kind != "batch":
            return msgspec.json.decode(parts[0])
        return {"items": [msgspec.json.decode(part) for part in parts]}

    async def pack(
        self, project_id: str, run_id: str, kind: str, key: str, value: Any, note: Any = None
    ) -> tuple[Value, ValueRef]:
        """Return a value ready to be stored with a command, and what the event says of it.

        Raises `TooLarge` for a value of the run's state that is none of the small things it is for.
        """
        large = isinstance(value, bytes) and len(value) > LARGE_BYTES
        encoded = await asyncio.to_thread(text_of, value) if large else encode(value)
        if kind == "state" and len(encoded) > self._state_max_bytes:
            most = f"at most {self._state_max_bytes} are kept (RUNWRIGHT_STATE_VALUE_MAX_BYTES)"
            raise TooLarge(f"the value of the state {key[:64]!r} has {len(encoded)} bytes, {most}")
        within, size = f"{run_id}/{kind}/{key}", len(encoded)
        sealed = await apart(size, lambda: self._sealer.seal(project_id, encoded, within))
        told = None if note is None else encode(note)
        if size > self._inline_max_bytes:
            packed = Value(kind, key, None, await self._artifacts.put(sealed), told)
        else:
            packed = Value(kind, key, sealed, None, told)
        digest = await apart(size, lambda: sha256(encoded).hexdigest())
        return packed, self.ref(project_id, encoded, digest)

    async def unpack(self, project_id: str, stored: StoredValue) -> Any:
        """Return a stored value as it was; bytes are a text in base64."""
        encoded = await self._opened(project_id, stored)
        return None if encoded is None else msgspec.json.decode(encoded)

    async def unpack_bytes(self, project_id: str, stored: StoredValue) -> bytes:
        """Return stored bytes as they were."""
        encoded = await self._opened(project_id, stored)
        return b"" if encoded is None else await apart(len(encoded), lambda: bytes_of(encoded))

    async def _opened(self, project_id: str, stored: StoredValue) -> bytes | None:
        sealed = stored.sealed
        if sealed is None and stored.artifact is not None:
            sealed = await self._artifacts.get(stored.artifact)
        if sealed is None:
            return None
        there, within = sealed, f"{stored.run_id}/{stored.kind}/{stored.key}"
        return await apart(len(there), lambda: self._sealer.open(project_id, there, within))
