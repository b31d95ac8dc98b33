"""GitLab, by version 4 of its REST API; its pull requests are merge requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright.forges.answers import Answer
from runwright.forges.hosted import Found, HostedForge, quoted
from runwright.forges.port import Refused, Wanted

DRAFT = "Draft: "


class GitLab(HostedForge):
    """A project on GitLab. Labels and reviewers are a part of the request that opens."""

    provider = "gitlab"

    @property
    def _project(self) -> str:
        return f"/projects/{quoted(self.path)}"

    async def is_protected(self, branch: str) -> bool:
        """Tell whether a branch is protected by its name; patterns are judged by the push."""
        answer = await self.api.get(f"{self._project}/protected_branches/{quoted(branch)}")
        if answer.status in (403, 404):
            return False  # whoever may not look is told by the push
        if answer.status != 200:
            raise self.api.refusal(answer, "the branch cannot be looked at")
        return True

    async def find(self, wanted: Wanted) -> Found | None:
        """Return the open request of a branch."""
        asked = {"state": "opened", "source_branch": wanted.branch, "target_branch": wanted.base, "per_page": "100"}
        listed = self.api.listed(f"{self._project}/merge_requests", "merge requests cannot be listed", **asked)
        async for each in listed:
            if each.get("source_project_id") == each.get("target_project_id"):  # forks may have such a branch, too
                return self.read(each)
        return None

    async def create(self, wanted: Wanted) -> Answer:
        """Ask for a request to be opened."""
        body: dict[str, Any] = {
            "source_branch": wanted.branch,
            "target_branch": wanted.base,
            "title": f"{DRAFT}{wanted.title}" if wanted.draft else wanted.title,
            "description": wanted.body,
        }
        if wanted.labels:
            body["labels"] = ",".join(wanted.labels)
        if wanted.reviewers:
            body["reviewer_ids"] = [each for name in wanted.reviewers if (each := await self._user(name)) is not None]
        return await self.api.post(f"{self._project}/merge_requests", body)

    async def adorn(self, found: Found, wanted: Wanted) -> list[str]:
        """Return which reviewers there are not."""
        return [f"there is no user {name}" for name in wanted.reviewers if await self._user(name) is None]

    async def _user(self, name: str) -> int | None:
        answer = await self.api.get("/users", username=name)
        if answer.status != 200:
            raise self.api.refusal(answer, "users cannot be listed")
        ident = answer.records()[0].get("id") if answer.records() else None
        return ident if isinstance(ident, int) else None

    def read(self, told: Mapping[str, Any]) -> Found:
        """Return a request as the forge tells it."""
        try:
            return Found(int(told["iid"]), str(told["web_url"]))
        except (KeyError, TypeError, ValueError):
            raise Refused("FORGE_ERROR", "the forge tells of a merge request in a way that nobody reads") from None
