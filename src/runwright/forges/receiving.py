"""A repository behind smart HTTP that takes branches: what `git push` says, said by us.

So no git has the token, nothing of the repository has a say, and what is sent is exactly what was made. Only refs that
are not there are made, all or none; what the other side says of each is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from runwright.domain.git_objects import Format, pack, zero
from runwright.domain.repository import is_sha
from runwright.forges.answers import Answer
from runwright.forges.port import HEADS, Refs, Refused, Update
from runwright.forges.wire import USER_AGENT, Wire

_ADVERTISED = "application/x-git-{service}-advertisement"
_SENT, _RESULT = "application/x-git-receive-pack-request", "application/x-git-receive-pack-result"
_PROTECTED = ("protected", "gh006", "gh013")
_SAID_MAX = 300


class SmartRepository:
    """A repository at an address; `authorization` is the header that opens it."""

    def __init__(self, wire: Wire, url: str, authorization: str | None) -> None:
        self._wire = wire
        self._url = url.rstrip("/")
        self._headers = {} if authorization is None else {"Authorization": authorization}

    async def refs(self) -> Refs:
        """Return what it has. Raises `Refused`."""
        told = await self._advertised("receive-pack")
        found = {name: oid for oid, name in _refs(told)}
        return Refs(found, _default(await self._advertised("upload-pack")))

    async def _advertised(self, service: str) -> list[bytes]:
        answer = await self._wire.ask("GET", f"{self._url}/info/refs?service=git-{service}", self._headers)
        if answer.status != 200:
            raise self._wire.refusal(answer, "the repository cannot be pushed to")
        if answer.headers.get("content-type", "").partition(";")[0].strip() != _ADVERTISED.format(service=service):
            raise Refused("FORGE_ERROR", "what answers at the address is no repository of git", retryable=False)
        return [line for line in packets(answer.body) if not line.startswith(b"# service=")]

    async def push(self, updates: Sequence[Update], objects: Sequence[tuple[bytes, bytes]], format: Format) -> None:
        """Store objects and make refs. Raises `Refused`."""
        asked = f"report-status side-band-64k atomic object-format={format} agent={USER_AGENT.replace('/', '-')}"
        lines = [f"{zero(format)} {update.oid} {update.name}".encode() for update in updates]
        lines[0] += b"\0 " + asked.encode()
        body = b"".join(packet(line) for line in lines) + b"0000" + await asyncio.to_thread(pack, objects, format)
        headers = {**self._headers, "Content-Type": _SENT, "Accept": _RESULT}
        answer = await self._wire.ask("POST", f"{self._url}/git-receive-pack", headers, body)
        if answer.status != 200:
            raise self._wire.refusal(answer, "the push was not taken")
        _require_taken(answer, updates)


def packet(line: bytes) -> bytes:
    """Return a line as it is sent."""
    return b"%04x%b" % (len(line) + 4, line)


def packets(body: bytes) -> Iterator[bytes]:
    """Yield the lines of an answer, without flushes. Raises `Refused` for what is none."""
    at = 0
    while at < len(body):
        try:
            size = int(body[at : at + 4], 16)
        except ValueError:
            raise _broken() from None
        if size >= 4:
            if at + size > len(body):
                raise _broken()
            yield body[at + 4 : at + size]
        at += max(size, 4)


def _broken() -> Refused:
    return Refused("FORGE_ERROR", "the forge answers something else than git does")


def _refs(lines: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        oid, _, name = line.partition(b"\0")[0].decode("utf-8", "replace").strip().partition(" ")
        if is_sha(oid) and name != "capabilities^{}" and not name.startswith("."):
            yield oid, name


def _default(lines: Sequence[bytes]) -> str | None:
    """Return the branch that HEAD is, as the first line of an advertisement says."""
    told = lines[0].partition(b"\0")[2].decode("utf-8", "replace").split() if lines else []
    heads = [word.removeprefix("symref=HEAD:") for word in told if word.startswith(f"symref=HEAD:{HEADS}")]
    return heads[0].removeprefix(HEADS) if heads else None


def _require_taken(answer: Answer, updates: Sequence[Update]) -> None:
    """Raise `Refused` unless the answer says of each ref that it was made."""
    report, said = bytearray(), bytearray()
    for line in packets(answer.body):
        band = line[:1]
        if band == b"\1":
            report += line[1:]
        elif band in (b"\2", b"\3"):
            said += line[1:]
        else:
            report += packet(line)
    told = _status(packets(bytes(report)))
    if told.get("unpack") != "ok":
        raise _rejected(f"the forge could not unpack it: {told.get('unpack', 'it says nothing')}", said)
    for update in updates:
        why = told.get(update.name, "it says nothing of it")
        if why != "ok":
            raise _rejected(f"{update.name} was not taken: {why}", said)


def _status(lines: Iterator[bytes]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
        name, _, why = rest.partition(" ")
        if word == "unpack":
            found["unpack"] = rest
        elif word in ("ok", "ng"):
            found[name] = "ok" if word == "ok" else why
    return found


def _rejected(message: str, said: bytes | bytearray) -> Refused:
    text = "".join(each for each in said.decode("utf-8", "replace") if each.isprintable() or each == "\n")
    whole = " ".join([message, *text.split()])[:_SAID_MAX]
    protected = any(word in whole.lower() for word in _PROTECTED)
    return Refused("PROTECTED_BRANCH" if protected else "PUSH_REJECTED", whole)
