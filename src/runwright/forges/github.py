"""GitHub, and GitHub Enterprise Server, by their REST API of 2022-11-28."""

from __future__ import annotations

from typing import Any

from runwright.forges.hosted import Found, HostedForge, quoted
from runwright.forges.port import Wanted
from runwright.forges.wire import Answer

HOME = "https://github.com"
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


def api_of(origin: str) -> str:
    """Return where the API of a forge is."""
    return "https://api.github.com" if origin == HOME else f"{origin}/api/v3"


class GitHub(HostedForge):
    """A repository on GitHub."""

    provider = "github"
    exists = (422,)

    async def is_protected(self, branch: str) -> bool:
        """Tell whether a branch is protected; one that is not there is not, by its name."""
        answer = await self.api.get(f"/repos/{self.path}/branches/{quoted(branch)}")
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise self.api.refusal(answer, "the branch cannot be looked at")
        return bool(answer.json().get("protected"))

    async def find(self, wanted: Wanted) -> Found | None:
        """Return the open request of a branch."""
        head = f"{self.path.partition('/')[0]}:{wanted.branch}"
        answer = await self.api.get(f"/repos/{self.path}/pulls", state="open", head=head, base=wanted.base)
        if answer.status != 200:
            raise self.api.refusal(answer, "pull requests cannot be listed")
        found: list[dict[str, Any]] = answer.json()
        return self.read(found[0]) if found else None

    async def create(self, wanted: Wanted) -> Answer:
        """Ask for a request to be opened."""
        body = {"title": wanted.title, "head": wanted.branch, "base": wanted.base, "body": wanted.body}
        return await self.api.post(f"/repos/{self.path}/pulls", {**body, "draft": wanted.draft})

    async def adorn(self, found: Found, wanted: Wanted) -> list[str]:
        """Add labels and reviewers; return what the forge did not take."""
        missing: list[str] = []
        if wanted.labels:
            path = f"/repos/{self.path}/issues/{found.number}/labels"
            missing += await self.taken(path, {"labels": wanted.labels}, "the labels were not taken")
        if wanted.reviewers:
            path = f"/repos/{self.path}/pulls/{found.number}/requested_reviewers"
            missing += await self.taken(path, {"reviewers": wanted.reviewers}, "the reviewers were not taken")
        return missing
