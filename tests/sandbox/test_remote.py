"""Checkouts of repositories behind an address: over the relay, by vetted addresses, and from nowhere else."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.sandbox.checkout import Checkout, CheckoutBounds, Repositories
from runwright.sandbox.means import Means
from runwright.sandbox.refusal import CheckoutRefused
from tests.executors.endpoint import certificate
from tests.sandbox.git_server import Forge, sent_on, serving
from tests.sandbox.repositories import Repository

BOUNDS = CheckoutBounds(allow_private=True, timeout_s=60)
PROMISE = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Forge]:
    """Serve a repository `r` with two commits."""
    repository = Repository(tmp_path / "r")
    repository.commit(a="1\n")
    repository.git("tag", "v1")
    repository.commit(a="2\n")
    async with serving(Forge(tmp_path)) as forge:
        yield forge


async def checked_out(
    means: Means, repositories: Repositories, url: str, ref: str | None = None
) -> tuple[Checkout, dict[str, str]]:
    """Check out, and return what was told and what the files hold."""
    place = RunWorkspace(means, "", ToolBounds(), "run_1", None)
    try:
        checkout, _ = await place.lay(lambda files: repositories.check_out(files, url, ref))
        root = place.files.root
        return checkout, {path.name: path.read_text() for path in sorted(root.iterdir())}
    finally:
        await place.close()


async def refused(means: Means, repositories: Repositories, url: str, ref: str | None = None) -> tuple[str, str]:
    """Return code and words of a refusal."""
    with pytest.raises(CheckoutRefused) as why:
        await checked_out(means, repositories, url, ref)
    return why.value.code, str(why.value)


async def test_a_repository_is_fetched_by_branch_tag_and_digest_and_only_the_commit_that_is_asked_for(
    means: Means, forge: Forge, tmp_path: Path
):
    repositories = Repositories(means, BOUNDS)
    repository = tmp_path / "r"
    for ref, content in ((None, "2\n"), ("main", "2\n"), ("v1", "1\n")):
        checkout, files = await checked_out(means, repositories, f"{forge.url}/r/.git", ref)
        assert files == {"a": content}
    head = (repository / ".git/refs/tags/v1").read_text().strip()
    checkout, files = await checked_out(means, repositories, f"{forge.url}/r/.git", head)
    assert (checkout.head_sha, files) == (head, {"a": "1\n"})
    assert {asked.headers["host"] for asked in forge.asked} == {f"127.0.0.1:{forge.port}"}
    assert not any("authorization" in asked.headers or "cookie" in asked.headers for asked in forge.asked)
    assert (await refused(means, repositories, f"{forge.url}/r/.git", "none"))[0] == "ref.not_found"
    assert (await refused(means, repositories, f"{forge.url}/r/.git", "f" * 40))[0] == "ref.not_found"


async def test_what_is_no_repository_or_wants_a_password_is_not_found(means: Means, forge: Forge):
    repositories = Repositories(means, BOUNDS)
    denied = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    busy = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    forge.answer = lambda path: {"/private": denied, "/page": page, "/busy": busy}.get(path.partition("/info")[0])
    for path, code in (("none", "repo.not_found"), ("private", "repo.not_found"), ("page", "repo.not_found")):
        assert (await refused(means, repositories, f"{forge.url}/{path}"))[0] == code
    assert (await refused(means, repositories, f"{forge.url}/busy"))[0] == "repo.unreachable"
    assert (await refused(means, repositories, "http://127.0.0.1:9/x"))[0] == "repo.unreachable"


async def test_a_name_that_leads_to_this_machine_is_refused_whatever_it_said_before(means: Means, forge: Forge):
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def told(host: str, port: int) -> list[str]:
        return answers[0] if len(answers) == 1 else answers.pop(0)

    async def private(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    open_bounds = replace(BOUNDS, allow_private=False)
    url = f"http://forge.example.org:{forge.port}/r/.git"
    assert (await refused(means, Repositories(means, open_bounds, resolver=private), url))[0] == "repo.not_allowed"
    answers.pop(0)
    assert (await refused(means, Repositories(means, open_bounds, resolver=told), url))[0] == "repo.not_allowed"
    assert forge.asked == []


async def test_a_name_is_asked_by_us_alone_and_only_what_was_vetted_is_dialled(means: Means, forge: Forge):
    asked: list[str] = []

    async def told(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    url = f"http://forge.example.org:{forge.port}/r/.git"
    _, files = await checked_out(means, Repositories(means, BOUNDS, resolver=told), url)
    assert files == {"a": "2\n"}
    assert set(asked) == {"forge.example.org"}
    assert {each.headers["host"] for each in forge.asked} == {f"forge.example.org:{forge.port}"}


async def test_a_name_that_is_another_address_by_the_time_of_the_fetch_is_not_dialled(means: Means, forge: Forge):
    calls = 0

    async def rebinding(host: str, port: int) -> list[str]:
        nonlocal calls
        calls += 1
        return ["127.0.0.1"] if calls == 1 else ["0.0.0.0"]  # which is this machine, too

    url = f"http://forge.example.org:{forge.port}/r/.git"
    code, _ = await refused(means, Repositories(means, BOUNDS, resolver=rebinding), url)
    assert (code, calls >= 2, len(forge.asked)) == ("repo.broken", True, 1)


async def test_redirects_are_vetted_and_followed_once_and_git_follows_none(means: Means, forge: Forge):
    repositories = Repositories(means, BOUNDS)
    onward = "/info/refs?service=git-upload-pack"
    ways = {
        "/moved": f"/r/.git{onward}",
        "/metadata": f"http://169.254.169.254{onward}",
        "/file": "file:///etc/passwd",
        "/loop": f"/loop{onward}",
        "/page": "/login",
    }
    forge.answer = lambda path: sent_on(ways[name]) if (name := path.partition("/info")[0]) in ways else None
    _, files = await checked_out(means, repositories, f"{forge.url}/moved")
    assert files == {"a": "2\n"}
    assert (await refused(means, repositories, f"{forge.url}/metadata"))[0] == "repo.not_allowed"
    for name in ("file", "loop", "page"):
        assert (await refused(means, repositories, f"{forge.url}/{name}"))[0] == "repo.not_found"
    first: list[str] = []

    def later(path: str) -> bytes | None:
        first.append(path)
        return sent_on(f"http://169.254.169.254/r{onward}") if len(first) > 1 else None

    forge.answer = later
    assert (await refused(means, repositories, f"{forge.url}/r/.git"))[0] == "repo.broken"


async def test_a_repository_that_sends_more_than_may_come_is_cut_off(means: Means, forge: Forge, tmp_path: Path):
    large = Repository(tmp_path / "large")
    large.write("noise", os.urandom(300_000))
    large.commit()
    repositories = Repositories(means, replace(BOUNDS, repository_max_bytes=100_000))
    code, words = await refused(means, repositories, f"{forge.url}/large/.git")
    assert (code, "RUNWRIGHT_REPOSITORY_MAX_BYTES" in words) == ("repo.too_large", True)


async def test_a_forge_that_does_not_go_on_is_waited_for_no_longer_than_may_be(means: Means, forge: Forge):
    silent = asyncio.Event()
    git = forge.git

    async def stuck(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        if method == "POST":
            await silent.wait()
        return await git(method, target, headers, body)

    forge.git = stuck  # type: ignore[method-assign]
    code, words = await refused(means, Repositories(means, replace(BOUNDS, timeout_s=1.0)), f"{forge.url}/r/.git")
    silent.set()
    assert (code, "RUNWRIGHT_REPOSITORY_TIMEOUT_S" in words) == ("repo.timeout", True)


async def test_a_cancel_in_the_middle_of_a_fetch_leaves_nothing(means: Means, forge: Forge):
    begun, silent = asyncio.Event(), asyncio.Event()

    async def stuck(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        begun.set()
        await silent.wait()
        return b""

    before = sorted(path.name for path in means.workspaces.directory.iterdir())
    forge.git = stuck  # type: ignore[method-assign]
    forge.answer = lambda path: None if forge.asked[1:] else PROMISE
    fetching = asyncio.create_task(checked_out(means, Repositories(means, BOUNDS), f"{forge.url}/r/.git"))
    await begun.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    silent.set()
    assert sorted(path.name for path in means.workspaces.directory.iterdir()) == before


async def test_over_tls_the_certificate_is_checked_for_the_name_that_was_asked_for(means: Means, tmp_path: Path):
    Repository(tmp_path / "r").commit(a="1\n")
    served, _ = certificate(tmp_path, "forge.example.org")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    async def told(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with serving(Forge(tmp_path), served) as forge:
        url = f"https://forge.example.org:{forge.port}/r/.git"
        _, files = await checked_out(means, Repositories(means, BOUNDS, resolver=told, certificates=trusted), url)
        assert files == {"a": "1\n"}
        other = f"https://other.example.org:{forge.port}/r/.git"
        known = Repositories(means, BOUNDS, resolver=told, certificates=trusted)
        assert (await refused(means, known, other))[0] == "repo.unreachable"
        assert (await refused(means, Repositories(means, BOUNDS, resolver=told), url))[0] == "repo.unreachable"
