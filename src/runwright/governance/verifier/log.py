"""The log of a run in a bundle: the chain over its events, the tree over the chain, and the run's audit entries."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from json.encoder import encode_basestring  # the fast one; its escapes are RFC 8785's
from typing import Any, NamedTuple

from runwright.governance.verifier.report import AUDIT, TIMELINE, Report

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_NUMBER = rb"(?:0|[1-9][0-9]*)"
_LINE = re.compile(
    rb'\{"seq":(%b),"type":(%b),"actor":(%b),"created_at":(%b),"usage":(\{[^{}]*\}),"data_digest":"([0-9a-f]{64})",'
    rb'"hash":"([0-9a-f]{64})",(?:"withheld":true|"level":"([a-z]+)","lease_epoch":(%b),"message":(%b),'
    rb'"salt":"([0-9a-f]{32})",(?:"data":(.*)|"data_text":(%b)))\}\n'
    % (_NUMBER, _TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT, _TEXT)
)
"""A line of a timeline as it is written: whoever changes a byte of it changes a part that is hashed, or this form."""


class Parsed(NamedTuple):
    """An event: its number, its header as it is hashed, its own hash, and whether its data are what its digest says."""

    number: int
    header: bytes
    hash: bytes
    whole: bool


def parse_event(raw: bytes, run_id: bytes) -> Parsed:
    """Read a line of a timeline; `run_id` is quoted. Raises `ValueError` for one that is written otherwise."""
    found = _LINE.fullmatch(raw)
    if found is None:
        raise ValueError
    seq, type_, actor, at, usage, digest, own, level, epoch, message, salt, data, text = found.groups()
    header = b'{"actor":%b,"created_at":%b,"data_digest":"%b","run_id":%b,"seq":%b,"type":%b,"usage":%b}' % (
        actor, at, digest, run_id, seq, type_, usage,
    )  # fmt: skip
    whole = True
    if level is not None:
        covered = b"%b%b\0%b\0%b\0" % (bytes.fromhex(salt.decode()), level, epoch, _said(message))
        whole = sha256(covered + (_said(text) if data is None else data)).hexdigest().encode() == digest
    return Parsed(int(seq), header, bytes.fromhex(own.decode()), whole)


def _said(quoted: bytes) -> bytes:
    """Return what a quoted text says. Raises `ValueError` for one that is quoted in another way than ours."""
    if b"\\" not in quoted:
        return quoted[1:-1]
    said: str = json.loads(quoted)
    if encode_basestring(said).encode() != quoted:
        raise ValueError
    return said.encode()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Tree:
    """The tree of RFC 6962 over the hashes of the events."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Put a leaf behind the others."""
        peak, size = sha256(b"\x00" + data).digest(), self.size
        while size & 1:
            peak, size = sha256(b"\x01" + self._peaks.pop() + peak).digest(), size >> 1
        self._peaks.append(peak)
        self.size += 1

    def root(self) -> str:
        """Return the root over all leaves so far, in hex."""
        root = self._peaks[-1] if self._peaks else sha256().digest()
        for peak in self._peaks[-2::-1]:
            root = sha256(b"\x01" + peak + root).digest()
        return root.hex()


class Walked(NamedTuple):
    """A log that is whole: how many events, the hash of the last, and the root after each of the sizes asked for."""

    size: int
    head: str
    roots: dict[int, str]


def walk(lines: Iterable[bytes], run_id: str, genesis: str, sizes: Collection[int]) -> Walked | None:
    """Follow the events from the first; None as soon as one does not belong where it stands."""
    named, hashed, tree, roots = encode_basestring(run_id).encode(), bytes.fromhex(genesis), Tree(), {}
    try:
        for raw in lines:
            number, header, own, whole = parse_event(raw, named)
            hashed = sha256(b"\x01" + hashed + header).digest()
            if not whole or number != tree.size + 1 or hashed != own:
                return None
            tree.add(hashed)
            if tree.size in sizes:
                roots[tree.size] = tree.root()
    except ValueError:
        return None
    return Walked(tree.size, hashed.hex(), roots)


class Line(NamedTuple):
    """A line of a log as far as it can be read: its number, whether it is whole, and what chains it to the others."""

    number: int
    whole: bool
    header: bytes = b""
    hash: bytes = b""


def name_changes(lines: list[Line], prefix: str, wanted: Collection[int], report: Report) -> None:
    """Name the lines of a log that were edited, dropped, added or moved; `wanted` are the numbers that belong there."""
    numbers = [each.number for each in lines]
    there, twice = set(numbers), set()
    if len(there) < len(numbers):
        twice = {number for number in there if numbers.count(number) > 1}
    for number in sorted((there - set(wanted)) | twice):
        report.tell(f"{prefix} {number}", "added", "it is there more than once" if number in twice else "")
    for each in lines:
        if not each.whole:
            report.tell(f"{prefix} {each.number}", "edited")
    _name_gaps(sorted(set(wanted) - there), max(numbers, default=0), prefix, report)
    if sorted(numbers) == sorted(wanted):
        for place, number in zip(sorted(wanted), numbers, strict=True):
            if place != number:
                report.tell(f"{prefix} {place}", "reordered")
                break


def name_broken_links(lines: list[Line], prefix: str, genesis: str, report: Report) -> None:
    """Name the events that do not follow the ones before them, where these are there and can be read."""
    before = {0: {bytes.fromhex(genesis)}}
    for each in sorted(lines, key=lambda line: line.number):
        made = {
            sha256(b"\x01" + prev + each.header).digest() for prev in before.get(each.number - 1, ()) if each.header
        }
        if made and each.hash not in made:
            report.tell(f"{prefix} {each.number}", "edited")
        before[each.number] = made | {each.hash}


def _name_gaps(missing: list[int], last: int, prefix: str, report: Report) -> None:
    for number in (each for each in missing if each < last):
        report.tell(f"{prefix} {number}", "dropped")
    end = [each for each in missing if each > last]
    if end:
        span = f"{prefix} {end[0]}" + (f" to {end[-1]}" if len(end) > 1 else "")
        report.tell(span, "dropped", "the log ends before")


def events_of(raws: Iterable[bytes], run_id: str, report: Report) -> Iterator[Line]:
    """Yield the lines of a timeline in which something is not as it was."""
    number = 0
    for raw in raws:
        try:
            event = parse_event(raw, encode_basestring(run_id).encode())
            number = event.number
            yield Line(number, event.whole, event.header, event.hash)
        except ValueError:
            number += 1
            if not raw.endswith(b"\n"):
                report.tell(f"{TIMELINE} event {number}", "truncated")
            yield Line(number, whole=False)


def check_audit(raws: Iterable[bytes], org_id: str, wanted: Collection[int], report: Report) -> None:
    """Check each audit entry of the run: each holds the hash of the one before it in the organization's log."""
    found = []
    number = 0
    for raw in raws:
        try:
            entry = json.loads(raw)
            data = _data_of(raw, entry)
            number = entry["number"]
            header = {
                name: entry[name] for name in ("action", "actor", "created_at", "data_digest", "number", "target")
            }
            hashed = sha256(b"\x01" + bytes.fromhex(entry["prev_hash"]) + _json({**header, "org_id": org_id}).encode())
            same = sha256(data).hexdigest() == entry["data_digest"] and hashed.hexdigest() == entry["hash"]
            found.append(Line(number, same))
        except UNREADABLE:
            number += 1
            found.append(Line(number, whole=False))
    name_changes(found, f"{AUDIT} entry", wanted, report)


def _data_of(raw: bytes, entry: dict[str, Any]) -> bytes:
    """Return the data of an audit entry, byte for byte. Raises `ValueError` for a line that is written otherwise."""
    others = {name: value for name, value in entry.items() if name != "data"}
    start = _json(others)[:-1].encode() + b',"data":'
    if not raw.startswith(start) or not raw.endswith(b"}\n"):
        raise ValueError
    return raw[len(start) : -2]
