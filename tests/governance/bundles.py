"""Bundles of runs that were lived in memory, signed by keys that are the same each time."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import asdict

from runwright.auth.signing_keys import PublicKey, Signer
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.chain import genesis
from runwright.domain.events import Draft
from runwright.domain.evidence import SIGNED, Log, Profile, SignedHead, TreeHead, fingerprint, signed_head
from runwright.domain.redaction import Redactor, compose
from runwright.engine.kept_values import KeptValue
from runwright.governance.contents import Contents
from runwright.governance.packing import Bundle, Packer
from runwright.governance.verifier.archive import directory, local_header
from runwright.store import audit
from runwright.store.base import Record
from tests.domain.specimens import History, log_line, text, usage

MIB = 1 << 20
EARLIER = 3


def signer(*seeds: int) -> Signer:
    """Return a signer with a key for each seed, the last one the current."""
    privates = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in seeds or (1,)]
    publics = [private.public_key().public_bytes_raw() for private in privates]
    ends = [*range(2, len(publics) + 1), None]
    keys = [
        PublicKey(fingerprint(public), public, since, until)
        for since, (public, until) in enumerate(zip(publics, ends, strict=True), 1)
    ]
    return Signer(keys, privates[-1])


def lived(*drafts: Draft, ended: bool = True) -> History:
    """Return a run that wrote lines, used a model, told everything in odd characters, and perhaps ended."""
    history = History()
    history.claim()
    odd = log_line('tab\t "quotes" \\ and \x7f, \u2028, é, 🎉')
    pretty = Draft("log", compose({"a": 1}).replace(b":", b":\n"), text("over two lines"))  # type: ignore[arg-type]
    said = (odd, pretty, usage(), usage(None), *drafts)
    history.apply(c.Append(history.standing.run_id, history.standing.lease_epoch, said))
    if ended:
        history.finish(o.Completed())
    return history


def head_of(history: History, size: int, by: Signer) -> SignedHead:
    """Return the signed head of the first events of a log."""
    run = history.standing
    log = Log(run.run_id, genesis(history.command.opening))
    for event in history.events[:size]:
        assert log.step(event) is not None
    told = TreeHead(log.hash.hex(), log.tree.root.hex(), run.run_id, size * 1000, size)
    return SignedHead(size, told.root, told.head, told.signed_at, by.key_id, by.sign(signed_head(told)).hex())


def entries_of(history: History, heads: list[SignedHead]) -> list[tuple[audit.Entry, bytes | None]]:
    """Return entries of an audit log about a run, among others that the bundle does not have."""
    org_id = history.standing.spec.org_id
    walk, found = audit.genesis(org_id), []
    told: list[tuple[str, Any]] = [(SIGNED, asdict(head)) for head in heads]
    for number, (action, data) in enumerate([("run.replayed", {"as": "run_2"}), ("key.created", {}), *told], 1):
        encoded = audit._encode(data)
        target = history.standing.run_id
        header = audit.Header(action, "user:user_1", number, sha256(encoded).hexdigest(), number, org_id, target)
        digest = audit.link(walk, header)
        found.append((audit.Entry(org_id, number, "user:user_1", action, target, encoded, number, digest), walk))
        walk = digest
    return [each for each in found if each[0].number != 2]


def packed(
    history: History,
    profile: Profile = "full",
    *,
    by: Signer | None = None,
    old: Signer | None = None,
    redactor: Redactor | None = None,
    earlier: int = EARLIER,
    heads: list[dict[str, Any]] | None = None,
    values: tuple[tuple[str, Any], ...] = (("a", b'{"x":1}'), ("b", b"[2]")),
) -> Contents:
    """Return the contents of the bundle of a run, written and signed."""
    by = by or signer()
    run = history.standing
    record = Record(run, None, None, None, None)
    contents = Contents(
        record, genesis(history.command.opening), profile, redactor or Redactor(), Packer(64 * MIB), "1.2.3"
    )
    contents._packer.begin("timeline.ndjson")
    assert contents.events(history.events)
    contents._packer.end()
    for key, exact in values:
        ident = f"{run.run_id}.output.{key}"
        if profile != "public":
            shown = exact.replace(b"2", b'"[redacted:x]"')
            contents.value(KeptValue(ident, "output", key, shown, shown != exact, 1))
    size = len(history.events)
    signed = [head_of(history, each, old or by) for each in range(earlier, size, 2)] if earlier else []
    signed += [SignedHead(**each) for each in heads or ()]
    contents.close(head_of(history, size, by), entries_of(history, signed), by)
    return contents


def bundle(history: History, profile: Profile = "full", **options: Any) -> bytes:
    """Return the zip of a run."""
    return read(packed(history, profile, **options).zipped())


def read(bundle: Bundle) -> bytes:
    """Return all bytes of a bundle, and close it."""

    async def pieces() -> bytes:
        return b"".join([piece async for piece in bundle.pieces(0, bundle.size)])

    data = asyncio.run(pieces())
    bundle.close()
    assert len(data) == bundle.size
    return data


def files_of(data: bytes) -> dict[str, bytes]:
    """Return the files of a bundle, in order, as any reader of zips finds them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(files: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    """Return files as an archive in our one form, as somebody does who knows it."""
    out, entries = b"", []
    for name, data in files.items() if isinstance(files, dict) else files:
        entries.append((name, zipfile.crc32(data), len(data), len(out)))  # type: ignore[attr-defined]
        out += local_header(name, zipfile.crc32(data), len(data)) + data  # type: ignore[attr-defined]
    return out + directory(entries, len(out))


def run_verifier(script: Path, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of `verify.py` as somebody does who has nothing but Python."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(path), *options], capture_output=True, text=True, check=False
    )
