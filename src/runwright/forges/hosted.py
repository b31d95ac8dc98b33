"""A forge behind an API: its open pull request for a branch is found, or one is opened.

What comes after the opening, labels and reviewers, is asked for again whenever the request is found: it may be missing
because a server died. Where the forge does not take it, the request is open all the same, and it is said.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from runwright.forges.answers import Answer
from runwright.forges.port import Opened, Refs, Refused, Remote, Wanted
from runwright.forges.wire import Wire

PAGES_MAX = 100
NO_DRAFTS = "the forge has no drafts in this repository"


class Found(NamedTuple):
    """A pull request of a forge."""

    number: int
    url: str


class Api:
    """The API of a forge at an address, asked with a token."""

    def __init__(self, wire: Wire, url: str, headers: Mapping[str, str]) -> None:
        self._wire = wire
        self._url = url
        self._headers = {"Accept": "application/json", **headers}

    async def get(self, path: str, **query: str) -> Answer:
        """Ask for something."""
        asked = f"?{urlencode(query)}" if query else ""
        return await self._wire.ask("GET", f"{self._url}{path}{asked}", self._headers)

    async def post(self, path: str, body: Any) -> Answer:
        """Make something."""
        headers = {**self._headers, "Content-Type": "application/json"}
        return await self._wire.ask("POST", f"{self._url}{path}", headers, msgspec.json.encode(body))

    async def listed(self, path: str, what: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """Yield what a list holds, page by page. Raises `Refused`; `what` says what could not be listed."""
        seen = 0
        for page in range(1, PAGES_MAX + 1):
            answer = await self.get(path, **query, page=str(page))
            if answer.status != 200:
                raise self.refusal(answer, what)
            found = answer.records()
            for each in found:
                yield each
            seen += len(found)
            total = answer.headers.get("x-total-count") or answer.headers.get("x-total") or ""
            more = 'rel="next"' in answer.headers.get("link", "") or (total.isdigit() and seen < int(total))
            if not found or not more:
                return

    def refusal(self, answer: Answer, what: str) -> Refused:
        """Return why the forge does not do something."""
        return self._wire.refusal(answer, what)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()


class HostedForge(ABC):
    """What the forges have in common; each says how its API finds and opens. `path` is OWNER/NAME."""

    provider = ""
    exists: tuple[int, ...] = (409,)
    """The statuses by which it says that there is a request already."""

    def __init__(self, remote: Remote, api: Api, path: str) -> None:
        self.remote = remote
        self.api = api
        self.path = path

    async def require_free(self, branch: str, refs: Refs) -> None:
        """Raise `Refused` (`PROTECTED_BRANCH`) for a branch that is not for everybody to write."""
        if await self.is_protected(branch):
            raise Refused("PROTECTED_BRANCH", f"{branch} is protected; nothing is pushed to it")

    async def open(self, wanted: Wanted) -> Opened:
        """Find the open pull request of a branch, or open one. Raises `Refused`."""
        found = await self.find(wanted)
        reused, told = found is not None, list[str]()
        if found is None:
            answer = await self.create(wanted)
            if wanted.draft and self.lacks_drafts(answer):
                answer, told = await self._ready(wanted), [f"{NO_DRAFTS}: it is ready for review"]
            if answer.status in self.exists:
                found, reused = await self.find(wanted), True  # somebody opened it meanwhile
            if found is None:
                if answer.status not in (200, 201):
                    raise self.api.refusal(answer, "the pull request was not opened")
                found = self.read(answer.record())
        told += await self.adorn(found, wanted)
        return Opened(found.number, found.url, reused, "; ".join(told) or None)

    async def _ready(self, wanted: Wanted) -> Answer:
        """Ask for a request that is no draft, if the order lets it be. Raises `Refused`."""
        if wanted.if_no_drafts == "stop":
            raise Refused("FORGE_ERROR", f"{NO_DRAFTS}: say draft: false, or if_no_drafts: ready", retryable=False)
        return await self.create(msgspec.structs.replace(wanted, draft=False))

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()

    def lacks_drafts(self, answer: Answer) -> bool:
        """Tell whether a request was not opened because it was to be a draft; most know drafts by their titles."""
        return False

    @abstractmethod
    async def is_protected(self, branch: str) -> bool:
        """Tell whether a branch is protected."""

    @abstractmethod
    async def find(self, wanted: Wanted) -> Found | None:
        """Return the open request of a branch."""

    @abstractmethod
    async def create(self, wanted: Wanted) -> Answer:
        """Ask for a request to be opened."""

    @abstractmethod
    async def adorn(self, found: Found, wanted: Wanted) -> list[str]:
        """Add labels and reviewers; return what the forge did not take."""

    def read(self, told: Mapping[str, Any]) -> Found:
        """Return a request as the forge tells it."""
        try:
            return Found(int(told["number"]), str(told["html_url"]))
        except (KeyError, TypeError, ValueError):
            raise Refused("FORGE_ERROR", "the forge tells of a pull request in a way that nobody reads") from None

    async def taken(self, path: str, body: Any, what: str) -> list[str]:
        """Ask for something beside the request; return what was not taken. Raises `Refused` for another time."""
        answer = await self.api.post(path, body)
        if answer.status in (200, 201):
            return []
        why = self.api.refusal(answer, what)
        if why.retryable:
            raise why
        return [str(why)]


def quoted(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")
