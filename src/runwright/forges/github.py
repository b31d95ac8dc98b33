"""GitHub, and GitHub Enterprise Server, by their REST API of 2022-11-28."""

from __future__ import annotations

from typing import Any

from runwright.forges.answers import Answer, within
from runwright.forges.hosted import Found, HostedForge, quoted
from runwright.forges.port import Wanted

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
        if answer.status in (301, 404):
            return False  # 301: one of that name was renamed; that the repository moved, git would have said
        if answer.status != 200:
            raise self.api.refusal(answer, "the branch cannot be looked at")
        return bool(answer.record().get("protected"))

    async def find(self, wanted: Wanted) -> Found | None:
        """Return the open request of a branch."""
        head = f"{self.path.partition('/')[0]}:{wanted.branch}"
        answer = await self.api.get(f"/repos/{self.path}/pulls", state="open", head=head, base=wanted.base)
        if answer.status != 200:
            raise self.api.refusal(answer, "pull requests cannot be listed")
        own = [each for each in answer.records() if self._is_own(each)]
        return self.read(own[0]) if own else None

    def _is_own(self, told: dict[str, Any]) -> bool:
        """Tell whether the branch of a request is one of this repository: a fork of the same owner may have it, too."""
        return str(within(told, "head", "repo", "full_name")).casefold() == self.path.casefold()

    def lacks_drafts(self, answer: Answer) -> bool:
        """Tell whether a request was not opened because it was to be a draft."""
        return answer.status == 422 and "draft pull requests are not supported" in answer.said.lower()

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
