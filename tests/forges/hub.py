"""Forges of this machine, each over HTTP: git by `git http-backend`, and the API as its documentation tells it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from tests.sandbox.git_server import Forge

TOKEN = "tok-0123456789abcdefgh"
PLAIN = {"Content-Type": "application/json"}


class Hub(Forge):
    """A forge with one repository, `acme/site`. `say` answers in place of the API, `protected` are branches.

    `strange` are requests of forks, which have a branch of the same name, and `page` how many a page of a list has.
    """

    kind = ""
    api = ""
    user = ""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pulls: list[dict[str, Any]] = []
        self.protected: set[str] = set()
        self.say: dict[str, tuple[int, dict[str, str], Any]] = {}
        self.made: list[tuple[str, Any]] = []
        self.strange: list[dict[str, Any]] = []
        self.drafts = True
        self.moved: str | None = None
        self.page = 30

    async def git(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        """Return the answer to a request, which must have the token."""
        path, _, query = target.partition("?")
        if path.startswith(self.api):
            if headers.get("authorization") != self.bearer:
                return answer(401, {"message": "Bad credentials"})
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            told = json.loads(body) if body else None
            for begin, (status, more, said) in self.say.items():
                if f"{method} {path}".startswith(begin):
                    return answer(status, said, more)
            if method == "POST":
                self.made.append((path.removeprefix(self.api), told))
            return self.ask(method, path.removeprefix(self.api), asked, told)
        if self.moved is not None:
            return answer(301, {}, {"Location": f"{self.moved}/info/refs?{query}"})
        given = headers.get("authorization", "")
        if b64decode(given.removeprefix("Basic ")).decode() != self.user:
            return answer(401, {"message": "no"}, {"WWW-Authenticate": 'Basic realm="git"'})
        return await super().git(method, target, headers, body)

    @property
    def bearer(self) -> str:
        """Return the header by which the API is asked."""
        return f"Bearer {TOKEN}"

    def ask(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        """Return what the API answers."""
        raise NotImplementedError

    def fork(self, branch: str) -> None:
        """Let a fork have a request for a branch of the same name."""
        raise NotImplementedError

    def listed(self, path: str, found: list[Any], query: dict[str, str], *, linked: bool = True) -> bytes:
        """Return a page of a list, with a link to the next one or with the number of all."""
        at = int(query.get("page", "1"))
        more = at * self.page < len(found)
        link = f'<{self.url}{self.api}{path}?page={at + 1}>; rel="next"' if more else ""
        headers = {"Link": link} if linked else {"X-Total-Count": str(len(found))}
        return answer(200, found[(at - 1) * self.page : at * self.page], headers)


class GitHubHub(Hub):
    """GitHub Enterprise Server."""

    kind, api, user = "github", "/api/v3", f"x-access-token:{TOKEN}"

    def ask(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        """Return what the API answers."""
        branch = re.fullmatch(r"/repos/acme/site/branches/(.+)", path)
        if method == "GET" and branch:
            name = unquote(branch[1])
            return answer(200, {"name": name, "protected": True}) if name in self.protected else answer(404, {})
        if (method, path) == ("GET", "/repos/acme/site/pulls"):
            owner, _, head = query["head"].partition(":")
            assert owner == "acme"
            own = [each for each in self.pulls if (each["head"], each["base"]) == (head, query["base"])]
            return self.listed(path, [self._shown(each) for each in [*self.strange, *own]], query)
        if (method, path) == ("POST", "/repos/acme/site/pulls"):
            if any(each["head"] == body["head"] for each in self.pulls):
                errors = [{"resource": "PullRequest", "message": "A pull request already exists for acme:x."}]
                return answer(422, {"message": "Validation Failed", "errors": errors})
            if body["draft"] and not self.drafts:
                return answer(422, {"message": "Draft pull requests are not supported in this repository."})
            number = len(self.pulls) + 1
            self.pulls.append({**body, "number": number, "html_url": f"{self.url}/acme/site/pull/{number}"})
            return answer(201, self._shown(self.pulls[-1]))
        if method == "POST" and re.fullmatch(r"/repos/acme/site/(issues/1/labels|pulls/1/requested_reviewers)", path):
            if body.get("reviewers") == ["nobody"]:
                return answer(422, {"message": "Reviews may only be requested from collaborators."})
            return answer(201 if "reviewers" in body else 200, [])
        return answer(404, {"message": "Not Found"})

    def fork(self, branch: str) -> None:
        """Let a fork of the same organization have a request for a branch of the same name."""
        url = f"{self.url}/acme/site/pull/99"
        self.strange.append({"head": branch, "base": "main", "number": 99, "html_url": url, "repo": "acme/fork"})

    def _shown(self, pull: dict[str, Any]) -> dict[str, Any]:
        head = {"ref": pull["head"], "repo": {"full_name": pull.get("repo", "acme/site")}}
        return {**pull, "head": head, "base": {"ref": pull["base"]}}


class GitLabHub(Hub):
    """GitLab."""

    kind, api, user = "gitlab", "/api/v4", f"oauth2:{TOKEN}"

    def ask(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        """Return what the API answers."""
        project = "/projects/acme%2Fsite"
        branch = re.fullmatch(re.escape(project) + r"/protected_branches/(.+)", path)
        if branch:
            return answer(200, {"name": branch[1]}) if unquote(branch[1]) in self.protected else answer(404, {})
        if (method, path) == ("GET", "/users"):
            return answer(200, [] if query["username"] == "nobody" else [{"id": 7, "username": query["username"]}])
        if (method, path) == ("GET", f"{project}/merge_requests"):
            assert query["state"] == "opened"
            wanted = (query["source_branch"], query["target_branch"])
            own = [each for each in self.pulls if (each["source_branch"], each["target_branch"]) == wanted]
            return self.listed(path, [*self.strange, *({**each, **self.ours} for each in own)], query)
        if (method, path) == ("POST", f"{project}/merge_requests"):
            if any(each["source_branch"] == body["source_branch"] for each in self.pulls):
                return answer(409, {"message": ["Another open merge request already exists for this source branch"]})
            iid = len(self.pulls) + 1
            self.pulls.append({**body, "iid": iid, "web_url": f"{self.url}/acme/site/-/merge_requests/{iid}"})
            return answer(201, self.pulls[-1])
        return answer(404, {"message": "404 Not Found"})

    ours: ClassVar[dict[str, int]] = {"source_project_id": 1, "target_project_id": 1}

    def fork(self, branch: str) -> None:
        """Let forks have merge requests for branches of the same name: more than stand on a page."""
        url = f"{self.url}/acme/site/-/merge_requests/99"
        theirs = {"source_branch": branch, "target_branch": "main", "iid": 99, "web_url": url}
        self.strange += [{**theirs, "source_project_id": 2 + at, "target_project_id": 1} for at in range(self.page + 1)]


class GiteaHub(Hub):
    """Gitea, or Forgejo."""

    kind, api, user = "gitea", "/api/v1", f"{TOKEN}:x-oauth-basic"

    @property
    def bearer(self) -> str:
        """Return the header by which the API is asked."""
        return f"token {TOKEN}"

    def ask(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        """Return what the API answers."""
        branch = re.fullmatch(r"/repos/acme/site/branches/(.+)", path)
        if branch:
            name = unquote(branch[1])
            return answer(200, {"name": name, "protected": True}) if name in self.protected else answer(404, {})
        both = re.fullmatch(r"/repos/acme/site/pulls/([^/]+)/([^/]+)", path)
        if method == "GET" and both:
            wanted = (unquote(both[1]), unquote(both[2]))
            found = [each for each in self.pulls if (each["base"], each["head"]) == wanted]
            return answer(200, found[0]) if found else answer(404, {})
        if (method, path) == ("GET", "/repos/acme/site/pulls"):
            assert query["state"] == "open"
            found = [each for each in self.pulls if each["state"] == "open"]
            return self.listed(path, [*self.strange, *map(self._shown, found)], query, linked=False)
        if (method, path) == ("POST", "/repos/acme/site/pulls"):
            if any((each["head"], each["state"]) == (body["head"], "open") for each in self.pulls):
                return answer(409, {"message": "pull request already exists for these targets"})
            number = len(self.pulls) + 1
            made = {"number": number, "state": "open", "html_url": f"{self.url}/acme/site/pulls/{number}"}
            self.pulls.append({**body, **made})
            return answer(201, self.pulls[-1])
        if (method, path) == ("GET", "/repos/acme/site/labels"):
            many = [{"id": 100 + at, "name": f"label {at}"} for at in range(self.page)]
            return self.listed(path, [*many, {"id": 3, "name": "bot"}], query, linked=False)
        if method == "POST" and re.fullmatch(r"/repos/acme/site/(issues/1/labels|pulls/1/requested_reviewers)", path):
            if body.get("reviewers") == ["nobody"]:
                return answer(404, {"message": "user does not exist"})
            return answer(201 if "reviewers" in body else 200, [])
        return answer(404, {"message": "not found"})

    def fork(self, branch: str) -> None:
        """Let a fork have a pull request for a branch of the same name."""
        url = f"{self.url}/acme/site/pulls/99"
        theirs = {"number": 99, "state": "open", "html_url": url, "base": {"ref": "main", "repo_id": 1}}
        self.strange += [{**theirs, "head": {"ref": branch, "repo_id": 2}}] * (self.page + 1)

    def _shown(self, pull: dict[str, Any]) -> dict[str, Any]:
        return {**pull, "head": {"ref": pull["head"], "repo_id": 1}, "base": {"ref": pull["base"], "repo_id": 1}}


def answer(status: int, told: Any, headers: dict[str, str] | None = None) -> bytes:
    """Return an answer of an API."""
    body = json.dumps(told).encode()
    lines = [f"{name}: {value}" for name, value in (PLAIN | (headers or {})).items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(body)}", "Connection: close"])
    return head.encode() + b"\r\n\r\n" + body
