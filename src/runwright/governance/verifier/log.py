"""The log of a run in a bundle: the chain over its events, the tree over the chain, and the run's audit entries."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from json.encoder import encode_basestring  # the fast one; its escapes are RFC 8785's
from typing import Any, NamedTuple

from runwright.governance.verifier.report import AUDIT, TIMELINE, Report


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _usage(usage: Any) -> str:
    return _json(usage) if usage else "{}"


def parse_event(raw: bytes, run_id: str) -> tuple[dict[str, Any], bytes, bool]:
    """Return an event, its header as it is hashed, and whether its data are what its digest says.

    Raises `ValueError`, `TypeError` or `KeyError` for a line that is not written as the lines of a timeline are.
    """
    event = json.loads(raw)
    type_, actor, usage = encode_basestring(event["type"]), encode_basestring(event["actor"]), _usage(event["usage"])
    seq, at, digest = event["seq"], event["created_at"], event["data_digest"]
    head = (
        f'{{"seq":{seq:d},"type":{type_},"actor":{actor},"created_at":{at:d},"usage":{usage},'
        f'"data_digest":"{digest}","hash":"{event["hash"]}",'
    )
    header = (
        f'{{"actor":{actor},"created_at":{at:d},"data_digest":"{digest}","run_id":{run_id},"seq":{seq:d},'
        f'"type":{type_},"usage":{usage}}}'
    ).encode()
    if "withheld" in event:
        if raw != f'{head}"withheld":true}}\n'.encode():
            raise ValueError
        return event, header, True
    level, epoch, message, salt = event["level"], event["lease_epoch"], event["message"], event["salt"]
    head += f'"level":"{level}","lease_epoch":{epoch:d},"message":{encode_basestring(message)},"salt":"{salt}",'
    if "data_text" in event:
        data = event["data_text"].encode()
        start = f'{head}"data_text":{encode_basestring(event["data_text"])}'.encode()
        if raw != start + b"}\n":
            raise ValueError
    else:
        start = f'{head}"data":'.encode()
        data = raw[len(start) : -2]
        if not raw.startswith(start) or raw[-2:] != b"}\n":
            raise ValueError
    salted = bytes.fromhex(salt)
    covered = salted + f"{level}\0{epoch}\0{message}\0".encode() + data
    same = len(salted) == 16 and salted.hex() == salt and sha256(covered).hexdigest() == digest
    return event, header, same


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
    named, hashed, tree, roots = encode_basestring(run_id), bytes.fromhex(genesis), Tree(), {}
    try:
        for raw in lines:
            event, header, same = parse_event(raw, named)
            hashed = sha256(b"\x01" + hashed + header).digest()
            if not same or event["seq"] != tree.size + 1 or hashed.hex() != event["hash"]:
                return None
            tree.add(hashed)
            if tree.size in sizes:
                roots[tree.size] = tree.root()
    except UNREADABLE:
        return None
    return Walked(tree.size, hashed.hex(), roots)


class Line(NamedTuple):
    """A line of a log as far as it can be read: its number, whether it is whole, and what chains it to the others."""

    number: int
    whole: bool
    header: bytes = b""
    hash: str = ""


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
        if made and each.hash not in {digest.hex() for digest in made}:
            report.tell(f"{prefix} {each.number}", "edited")
        before[each.number] = made | _bytes_of(each.hash)


def _name_gaps(missing: list[int], last: int, prefix: str, report: Report) -> None:
    for number in (each for each in missing if each < last):
        report.tell(f"{prefix} {number}", "dropped")
    end = [each for each in missing if each > last]
    if end:
        span = f"{prefix} {end[0]}" + (f" to {end[-1]}" if len(end) > 1 else "")
        report.tell(span, "dropped", "the log ends before")


def _bytes_of(text: str) -> set[bytes]:
    try:
        return {bytes.fromhex(text)}
    except (ValueError, TypeError):
        return set()


def events_of(raws: Iterable[bytes], run_id: str, report: Report) -> Iterator[Line]:
    """Yield the lines of a timeline in which something is not as it was."""
    number = 0
    for raw in raws:
        try:
            event, header, same = parse_event(raw, encode_basestring(run_id))
            number = event["seq"]
            yield Line(number, same, header, event["hash"])
        except UNREADABLE:
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
