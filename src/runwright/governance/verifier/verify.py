"""Verify a bundle: the archive, who signed it, every file, the log and its tree, and the audit entries."""

from __future__ import annotations

import argparse
import json
import mmap
import sys
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

from runwright.governance.verifier.archive import Archive, Member
from runwright.governance.verifier.ed25519 import verify_signature
from runwright.governance.verifier.log import UNREADABLE, check_audit, events_of, name_broken_links, name_changes, walk
from runwright.governance.verifier.report import AUDIT, CHAIN, ENVELOPE, MANIFEST, TIMELINE, USAGE, NotABundle, Report

FORMAT = "runwright-evidence/1"
TREE_HEAD_TYPE = "application/vnd.runwright.tree-head+json"
PIECE = 1 << 20


def verify(path: str, pinned: str | None = None) -> Report:
    """Return what is wrong with a bundle, and who signed it; `pinned` is the fingerprint of who should have.

    Raises `NotABundle` for a file that is none, and `OSError` for one that cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise NotABundle("the file is empty") from None
        with data:
            report = Report()
            _Bundle(data, report).check()
    report.pinned = None if pinned is None else report.signer == pinned.lower().removeprefix("sha256:")
    return report


class _Bundle:
    def __init__(self, data: mmap.mmap, report: Report) -> None:
        self._data, self._report = data, report
        self._archive = Archive(data, report)
        self._manifest: dict[str, Any] = {}
        self._keys: dict[str, bytes] = {}
        self._members: dict[str, Member] = {}
        self._altered: list[str] = []

    def check(self) -> None:
        manifest, envelope = self._archive.first(MANIFEST), self._archive.first(ENVELOPE)
        try:
            self._manifest = read = json.loads(manifest)
            files = {str(each["name"]): (int(each["bytes"]), str(each["sha256"])) for each in read["files"]}
            self._keys = {str(each["key_id"]): bytes.fromhex(each["public_key"]) for each in read["keys"]}
            log, numbers = read["log"], [int(number) for number in read["audit"]]
            run_id, genesis, size = str(log["run_id"]), str(log["genesis"]), int(log["size"])
        except UNREADABLE:
            self._report.tell(MANIFEST, "edited", "it cannot be read")
            return
        self._report.manifest = read
        self._signature(manifest, envelope)
        end = self._archive.rest([(name, bytes_) for name, (bytes_, _) in files.items()])
        crcs = self._files(files)
        self._timeline(run_id, genesis, size)
        check_audit(self._lines(AUDIT), str(read.get("run", {}).get("org_id")), numbers, self._report)
        for name in self._altered:
            if not any(each.object.startswith(name) for each in self._report.problems):
                self._report.tell(name, "edited")
        self._archive.frame(crcs, end)

    def _signature(self, manifest: bytes, envelope: bytes) -> None:
        """Check that one of the keys signed what the manifest is."""
        report = self._report
        try:
            sealed = json.loads(envelope)
            payload, (signed,), kind = (
                b64decode(sealed["payload"], validate=True),
                sealed["signatures"],
                sealed["payloadType"],
            )
            key_id, signature = signed["keyid"], b64decode(signed["sig"], validate=True)
            subjects = {each["name"]: each["digest"]["sha256"] for each in json.loads(payload)["subject"]}
            written = json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode() + b"\n" == envelope
            signed_by = self._keys.get(key_id, b"")
            valid = written and len(sealed) == 3 and verify_signature(signed_by, _signed(kind, payload), signature)
        except UNREADABLE:
            report.tell(ENVELOPE, "edited", "it cannot be read")
            return
        if sha256(signed_by).hexdigest() != key_id:
            report.tell(MANIFEST, "edited", "it does not hold the key that signed it")
        elif not valid:
            report.tell(ENVELOPE, "edited", "the signature is not of this")
        elif subjects.get(MANIFEST) != sha256(manifest).hexdigest():
            report.tell(MANIFEST, "edited", "it is not what was signed")
        else:
            report.signer = key_id

    def _files(self, files: dict[str, tuple[int, str]]) -> list[int]:
        """Compare the files with what the manifest says of them; return the CRCs of all that there are."""
        crcs, order, front = [], [], [MANIFEST, ENVELOPE]
        for member in self._archive.members:
            digest, crc = self._sums(member)
            crcs.append(crc)
            missing = next((name for name in files if name not in self._members), "")
            if member.name in files and member.name not in self._members:
                self._members[member.name] = member
                order.append(member.name)
                if digest != files[member.name][1]:
                    self._note(member, files[member.name][0])
            elif member.name in front:
                front.remove(member.name)
            elif missing and digest == files[missing][1]:
                self._members[missing] = member
                order.append(missing)
                self._report.tell(missing, "edited", "its name in the archive")
            else:
                self._report.tell(member.name, "added")
        for name in files:
            if name not in self._members:
                self._report.tell(name, "dropped")
        for name, place in zip((name for name in files if name in self._members), order, strict=True):
            if name != place:
                self._report.tell(name, "reordered")
                break
        return crcs

    def _note(self, member: Member, size: int) -> None:
        """Note a file that has other bytes; of a log it is told line by line which they are."""
        self._altered.append(member.name)
        if member.name not in (TIMELINE, AUDIT):
            self._report.tell(member.name, "truncated" if member.size < size else "edited")

    def _sums(self, member: Member) -> tuple[str, int]:
        digest, crc, end = sha256(), 0, member.at + member.size
        for at in range(member.at, end, PIECE):
            piece = self._data[at : min(at + PIECE, end)]
            digest.update(piece)
            crc = crc32(piece, crc)
        return digest.hexdigest(), crc

    def _lines(self, name: str) -> Iterator[bytes]:
        member = self._members.get(name)
        if member is None:
            return
        at, end = member.at, member.at + member.size
        self._data.seek(at)
        while at < end:
            raw = self._data.readline()
            raw = raw[: end - at]
            at += len(raw)
            yield raw

    def _timeline(self, run_id: str, genesis: str, size: int) -> None:
        """Check the log against its root, and that against every head that was signed of it."""
        report, log = self._report, self._manifest["log"]
        heads = self._heads()
        if TIMELINE not in self._members:
            return
        walked = walk(self._lines(TIMELINE), run_id, genesis, {int(head["size"]) for head in heads} | {size})
        if walked is None or walked.size != size:
            found = list(events_of(self._lines(TIMELINE), run_id, report))
            name_changes(found, f"{TIMELINE} event", range(1, size + 1), report)
            name_broken_links(found, f"{TIMELINE} event", genesis, report)
            return
        if (walked.head, walked.roots.get(size)) != (log["head"], log["root"]):
            report.tell(TIMELINE, "edited", "it was written anew: this is not the log that was signed")
        for head in heads:
            if walked.roots.get(head["size"]) != head["root"]:
                report.tell(TIMELINE, "edited", f"its first {head['size']} events are not those that were signed")

    def _heads(self) -> list[dict[str, Any]]:
        """Return the signed heads of the log, the last of them that of all of it; a signature that is wrong is told."""
        try:
            member = self._members[CHAIN]
            chain = json.loads(self._data[member.at : member.at + member.size])
            heads = [*chain["earlier_heads"], chain["tree_head"]]
            for head in heads:
                told = {name: head[name] for name in ("head", "root", "signed_at", "size")}
                payload = json.dumps(
                    {**told, "run_id": chain["run_id"]}, sort_keys=True, separators=(",", ":")
                ).encode()
                key = self._keys.get(head["key_id"], b"")
                right = sha256(key).hexdigest() == head["key_id"]
                if not right or not verify_signature(
                    key, _signed(TREE_HEAD_TYPE, payload), bytes.fromhex(head["signature"])
                ):
                    self._report.tell(CHAIN, "edited", f"the signed head of {head['size']} events")
        except UNREADABLE:
            self._report.tell(CHAIN, "edited", "it cannot be read")
            return []
        return heads


def _signed(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def main(arguments: list[str] | None = None) -> int:
    """Verify one bundle, say what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Verify an evidence bundle of Runwright, offline.")
    parser.add_argument("bundle", help="the zip")
    parser.add_argument(
        "--key", metavar="FINGERPRINT", help="who must have signed it: the SHA-256 of a public key, in hex"
    )
    given = parser.parse_args(arguments)
    try:
        report = verify(given.bundle, given.key)
    except (NotABundle, OSError) as failure:
        sys.stderr.write(f"{given.bundle}: {failure}\n")
        return USAGE
    sys.stdout.writelines(f"{text}\n" for text in told(report))
    return report.code


def told(report: Report) -> list[str]:
    """Return what a person is told of a verification."""
    texts = [f"{each.object}: {each.what}" + (f" ({each.detail})" if each.detail else "") for each in report.problems]
    if not report.problems:
        log, run = report.manifest["log"], report.manifest["run"]
        ended = "the whole log" if report.manifest["sealed"] else "the log so far"
        texts.append(f"whole: {run['run_id']}, {run['state']}, {log['size']} events, {ended}, root {log['root']}")
    if report.signer is None:
        texts.append("signed by nobody that can be told")
    elif report.pinned is None:
        texts.append(f"signed by {report.signer}, not pinned: name the key that you trust with --key")
    else:
        texts.append(
            f"signed by {report.signer}, " + ("pinned" if report.pinned else "which is not the key that was named")
        )
    # What a bundle says of itself may hold anything: nothing of it drives a terminal, or turns its text around.
    return ["".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text) for text in texts]
