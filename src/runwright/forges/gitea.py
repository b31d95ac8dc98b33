"""Gitea and Forgejo, by version 1 of their API."""

from __future__ import annotations

from runwright.forges.answers import Answer, within
from runwright.forges.hosted import Found, HostedForge, quoted
from runwright.forges.port import Wanted

DRAFT = "WIP: "
PAGE = "50"


class Gitea(HostedForge):
    """A repository on Gitea or Forgejo."""

    provider = "gitea"

    async def is_protected(self, branch: str) -> bool:
        """Tell whether a branch is protected; one that is not there is judged by the push."""
        answer = await self.api.get(f"/repos/{self.path}/branches/{quoted(branch)}")
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise self.api.refusal(answer, "the branch cannot be looked at")
        return bool(answer.record().get("protected"))

    async def find(self, wanted: Wanted) -> Found | None:
        """Return the open request of a branch."""
        answer = await self.api.get(f"/repos/{self.path}/pulls/{quoted(wanted.base)}/{quoted(wanted.branch)}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.api.refusal(answer, "pull requests cannot be listed")
        told = answer.record()
        if told.get("state") == "open":
            return self.read(told)
        asked = {"state": "open", "limit": PAGE}  # what it found was closed; another one may be open
        async for each in self.api.listed(f"/repos/{self.path}/pulls", "pull requests cannot be listed", **asked):
            own = within(each, "head", "repo_id") == within(each, "base", "repo_id")
            if own and (within(each, "head", "ref"), within(each, "base", "ref")) == (wanted.branch, wanted.base):
                return self.read(each)
        return None

    async def create(self, wanted: Wanted) -> Answer:
        """Ask for a request to be opened."""
        title = f"{DRAFT}{wanted.title}" if wanted.draft else wanted.title
        body = {"title": title, "head": wanted.branch, "base": wanted.base, "body": wanted.body}
        return await self.api.post(f"/repos/{self.path}/pulls", body)

    async def adorn(self, found: Found, wanted: Wanted) -> list[str]:
        """Add labels and reviewers; return what the forge did not take."""
        missing: list[str] = []
        if wanted.labels:
            path = f"/repos/{self.path}/issues/{found.number}/labels"
            known, unknown = await self._labels(wanted.labels)
            missing += [f"there is no label {name}" for name in unknown]
            missing += await self.taken(path, {"labels": known}, "the labels were not taken") if known else []
        if wanted.reviewers:
            path = f"/repos/{self.path}/pulls/{found.number}/requested_reviewers"
            missing += await self.taken(path, {"reviewers": wanted.reviewers}, "the reviewers were not taken")
        return missing

    async def _labels(self, names: tuple[str, ...]) -> tuple[list[int], list[str]]:
        """Return the ids of labels by their names, and the names that none has."""
        listed = self.api.listed(f"/repos/{self.path}/labels", "labels cannot be listed", limit=PAGE)
        ids = {each.get("name"): ident async for each in listed if isinstance(ident := each.get("id"), int)}
        return [ids[name] for name in names if name in ids], [name for name in names if name not in ids]
