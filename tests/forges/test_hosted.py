"""GitHub, GitLab and Gitea, each spoken to over HTTP as its documentation says, with git's own server behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from runwright import config
from runwright.clock import FrozenClock
from runwright.domain.commit_plan import Lies, Onto, planned
from runwright.domain.git_objects import Leaf, digest
from runwright.domain.instants import EPOCH
from runwright.errors import InvalidSettings
from runwright.forges.port import Forge, Opened, Pushing, Refused, Wanted, push_branch
from runwright.forges.registered import Forges
from tests.domain.test_commit_plan import terms
from tests.forges.hub import TOKEN, GiteaHub, GitHubHub, GitLabHub, Hub
from tests.sandbox.git_server import serving
from tests.sandbox.repositories import Repository

BRANCH = "omar/run_1"


class Place:
    """A forge with one repository, and a commit for it."""

    def __init__(self, hub: Hub, repository: Repository, base: str) -> None:
        self.hub = hub
        self.repository = repository
        self.base = base
        onto = Onto({b"a": Leaf("100644", digest(b"blob", b"1\n", "sha1"))}, frozenset(), None)
        self.plan = planned(terms(base_sha=base), onto, [Lies("a", "file", b"2\n")])
        self.token: str | None = TOKEN

    async def forge(self, **settings: Any) -> Forge:
        """Return the forge of the repository."""
        named = {"forges": (f"{self.hub.kind}={self.hub.url}#FORGE_TOKEN",), "repository_private": True, **settings}
        forges = Forges(config.load({}, overrides=named), FrozenClock())
        return await forges.open(f"{self.hub.url}/acme/site.git", self._secret)

    async def _secret(self, name: str) -> str | None:
        assert name == "FORGE_TOKEN"
        return self.token

    async def push(self, branch: str = BRANCH, *, base_sha: str | None = None) -> bool:
        """Push the commit."""
        forge = await self.forge()
        try:
            pushing = Pushing(self.plan.objects, "sha1", "main", base_sha or self.base, stops=True)
            return await push_branch(forge, branch, self.plan.commit, pushing)
        finally:
            await forge.close()

    async def open(self, **more: Any) -> Opened:
        """Open a pull request."""
        forge = await self.forge()
        usual: dict[str, Any] = {"branch": BRANCH, "commit_sha": self.plan.commit, "base": "main", "title": "A title"}
        try:
            return await forge.open(Wanted(**{**usual, "body": "A body", **more}))
        finally:
            await forge.close()


@pytest.fixture(params=[GitHubHub, GitLabHub, GiteaHub], ids=lambda kind: kind.kind)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    repository = Repository(tmp_path / "work")
    base = repository.commit(a="1\n")
    bare = tmp_path / "acme" / "site.git"
    bare.parent.mkdir()
    repository.git("clone", "--quiet", "--bare", ".", str(bare))
    repository.git("--git-dir", str(bare), "config", "http.receivepack", "true")
    async with serving(request.param(tmp_path)) as hub:
        assert isinstance(hub, Hub)
        yield Place(hub, repository, base)


async def refused(call: Any) -> Refused:
    """Return why a forge does not do something."""
    with pytest.raises(Refused) as why:
        await call
    assert TOKEN not in str(why.value)
    return why.value


def git(place: Place, *words: str) -> str:
    """Return what git says of the repository of the forge."""
    return place.repository.git("--git-dir", str(place.hub.root / "acme/site.git"), *words)


async def test_a_branch_is_pushed_once_and_its_pull_request_opened_once(place: Place):
    assert await place.push() is False
    assert git(place, "rev-parse", BRANCH) == place.plan.commit
    assert git(place, "fsck", "--strict") == ""
    assert await place.push() is True
    first = await place.open(labels=("bot",), reviewers=("ada",))
    assert (first.number, first.reused, first.warning) == (1, False, None)
    assert first.url.startswith(f"{place.hub.url}/acme/site/")
    (told,) = place.hub.pulls
    assert "A title" in told["title"]
    assert told.get("draft") or told["title"].startswith(("Draft: ", "WIP: "))
    said = str(place.hub.made)
    assert "ada" in said or "[7]" in said
    assert "bot" in said or "[3]" in said
    assert await place.open(labels=("bot",)) == Opened(1, first.url, True)
    assert len(place.hub.pulls) == 1


async def test_a_request_of_a_fork_is_not_taken_for_ours_whatever_its_branch_is_called(place: Place):
    await place.push()
    place.hub.fork(BRANCH)
    first = await place.open()
    assert (first.number, first.reused) == (1, False)
    again = await place.open()
    assert (again.number, again.reused, len(place.hub.pulls)) == (1, True, 1)


async def test_a_request_that_was_closed_is_left_and_the_open_one_after_it_is_found(place: Place):
    await place.push()
    await place.open()
    if place.hub.kind != "gitea":
        return  # the others list open requests alone
    place.hub.pulls[0]["state"] = "closed"
    place.hub.fork(BRANCH)
    second = await place.open()
    assert (second.number, second.reused) == (2, False)
    assert await place.open() == Opened(2, second.url, True)


async def test_where_the_forge_has_no_drafts_it_is_said_unless_the_order_lets_the_request_be_ready(place: Place):
    await place.push()
    place.hub.drafts = False
    if place.hub.kind != "github":
        assert (await place.open()).warning is None, "others know drafts by their titles"
        return
    why = await refused(place.open())
    assert (why.code, why.retryable, "if_no_drafts: ready" in str(why)) == ("FORGE_ERROR", False, True)
    assert place.hub.pulls == []
    opened = await place.open(if_no_drafts="ready")
    assert (opened.number, opened.reused, place.hub.pulls[0]["draft"]) == (1, False, False)
    assert "ready for review" in str(opened.warning)


async def test_a_repository_that_has_moved_is_told_with_its_new_address_and_nothing_follows_it(place: Place):
    elsewhere = f"{place.hub.url}/acme/new.git"
    place.hub.moved = elsewhere
    why = await refused(place.push())
    assert (why.code, why.retryable, elsewhere in str(why)) == ("FORGE_ERROR", False, True)
    place.hub.moved = None
    place.hub.say = {"GET ": (301, {"Location": f"{place.hub.url}/api/v3/repositories/7/pulls?head=x"}, {})}
    why = await refused(place.open())
    assert (why.retryable, "repositories/7" in str(why), "head=x" in str(why)) == (False, True, False)
    assert place.hub.made == []


async def test_what_the_forge_does_not_take_beside_the_request_is_said(place: Place):
    await place.push()
    opened = await place.open(reviewers=("nobody",), draft=False)
    assert opened.number == 1
    assert opened.warning
    assert place.hub.pulls[0]["title"] == "A title"


async def test_k13_a_protected_branch_takes_no_push_whether_the_api_or_a_hook_says_so(place: Place):
    place.hub.protected.add(BRANCH)
    assert (await refused(place.push())).code == "PROTECTED_BRANCH"
    place.hub.protected.clear()
    hook = place.hub.root / "acme/site.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'You are not allowed to push code to protected branches.' >&2\nexit 1\n")
    hook.chmod(0o755)
    why = await refused(place.push())
    assert (why.code, why.retryable) == ("PROTECTED_BRANCH", False)
    hook.write_text("#!/bin/sh\necho 'no commit on a Friday' >&2\nexit 1\n")
    why = await refused(place.push())
    assert (why.code, "no commit on a Friday" in str(why)) == ("PUSH_REJECTED", True)
    hook.unlink()
    assert (await refused(place.push("main"))).code == "PROTECTED_BRANCH"
    git(place, "branch", "taken")
    assert (await refused(place.push("taken"))).code == "PUSH_REJECTED"
    assert (await refused(place.push(base_sha="f" * 40))).code == "BASE_MOVED"


async def test_a_forge_that_is_busy_or_away_says_when_to_come_again(place: Place):
    await place.push()
    now = EPOCH + timedelta(microseconds=FrozenClock().now())
    limits = {"X-RateLimit-Remaining": "0", "RateLimit-Remaining": "0"}
    later = str(FrozenClock().now() // 1_000_000 + 90)
    limits |= {"X-RateLimit-Reset": later, "RateLimit-Reset": later}
    for answer, wait_s in (
        ((429, {"Retry-After": "17"}, {}), 17),
        ((403, limits, {"message": "API rate limit exceeded"}), 90),
        ((503, {}, {}), 30),
        ((403, {}, {"message": "You have exceeded a secondary rate limit."}), 60),
        ((429, {"Retry-After": format_datetime(now + timedelta(seconds=40), usegmt=True)}, {}), 40),
        ((429, {"Retry-After": "soon"}, {}), 60),
        ((503, {"Retry-After": "86400"}, {}), 3600),
    ):
        place.hub.say = {f"{method} ": answer for method in ("GET", "POST")}
        why = await refused(place.open())
        assert (why.code, why.retryable, why.retry_after_s) == ("FORGE_ERROR", True, wait_s)
    place.hub.say = {"POST ": (400, {}, {"message": "title is too long"})}
    why = await refused(place.open())
    assert (why.code, why.retryable, "title is too long" in str(why)) == ("FORGE_ERROR", False, True)
    told = {
        "message": {"base": ["is invalid"]},
        "errors": [{"resource": "PullRequest", "field": "base", "code": "bad"}],
    }
    place.hub.say = {"POST ": (400, {}, told)}
    assert "base: is invalid; base is bad" in str(await refused(place.open()))
    plain = {"Content-Type": "text/plain"}
    place.hub.say = {"POST ": (403, plain, "This repository was archived so it is read-only.")}
    why = await refused(place.open())
    assert (why.retryable, "archived so it is read-only" in str(why)) == (False, True)


async def test_a_wrong_token_and_a_missing_one_are_the_projects_to_mend(place: Place):
    place.token = "wrong"
    why = await refused(place.push())
    assert (why.code, why.retryable, "401" in str(why)) == ("FORGE_ERROR", False, True)
    place.token = None
    assert "FORGE_TOKEN" in str(await refused(place.push()))
    assert (await refused(place.forge(forges=()))).code == "FORGE_ERROR"
    with pytest.raises(InvalidSettings):
        await place.forge(repository_private=False)


async def test_a_forge_is_reached_by_public_addresses_only(place: Place):
    forges = Forges(config.load({}, overrides={"forges": ("local=https://127.0.0.1",)}), FrozenClock())

    async def none(name: str) -> None:
        return None

    assert (await refused(forges.open("https://127.0.0.1/acme/site.git", none))).retryable is False
