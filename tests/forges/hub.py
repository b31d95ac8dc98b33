"""Forges of this machine, each over HTTP: git by `git http-backend`, and the API as its documentation tells it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.sandbox.git_server import Forge

TOKEN = "tok-0123456789abcdefgh"
PLAIN = {"Content-Type": "application/json"}


class Hub(Forge):
    """A forge with one repository, `acme/site`. `say` answers in place of the API, `protected` are branches."""

    kind = ""
    api = ""
    user = ""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pulls: list[dict[str, Any]] = []
        self.protected: set[str] = set()
        self.say: dict[str, tuple[int, dict[str, str], Any]] = {}
        self.made: list[tuple[str, Any]] = []

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
            return answer(200, [each for each in self.pulls if (each["head"], each["base"]) == (head, query["base"])])
        if (method, path) == ("POST", "/repos/acme/site/pulls"):
            if any(each["head"] == body["head"] for each in self.pulls):
                errors = [{"resource": "PullRequest", "message": "A pull request already exists for acme:x."}]
                return answer(422, {"message": "Validation Failed", "errors": errors})
            number = len(self.pulls) + 1
            self.pulls.append({**body, "number": number, "html_url": f"{self.url}/acme/site/pull/{number}"})
            return answer(201, self.pulls[-1])
        if method == "POST" and re.fullmatch(r"/repos/acme/site/(issues/1/labels|pulls/1/requested_reviewers)", path):
            if body.get("reviewers") == ["nobody"]:
                return answer(422, {"message": "Reviews may only be requested from collaborators."})
            return answer(201 if "reviewers" in body else 200, [])
        return answer(404, {"message": "Not Found"})


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
            found = [each for each in self.pulls if (each["source_branch"], each["target_branch"]) == wanted]
            return answer(200, found)
        if (method, path) == ("POST", f"{project}/merge_requests"):
            if any(each["source_branch"] == body["source_branch"] for each in self.pulls):
                return answer(409, {"message": ["Another open merge request already exists for this source branch"]})
            iid = len(self.pulls) + 1
            self.pulls.append({**body, "iid": iid, "web_url": f"{self.url}/acme/site/-/merge_requests/{iid}"})
            return answer(201, self.pulls[-1])
        return answer(404, {"message": "404 Not Found"})


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
        if (method, path) == ("POST", "/repos/acme/site/pulls"):
            if any(each["head"] == body["head"] for each in self.pulls):
                return answer(409, {"message": "pull request already exists for these targets"})
            number = len(self.pulls) + 1
            made = {"number": number, "state": "open", "html_url": f"{self.url}/acme/site/pulls/{number}"}
            self.pulls.append({**body, **made})
            return answer(201, self.pulls[-1])
        if (method, path) == ("GET", "/repos/acme/site/labels"):
            return answer(200, [{"id": 3, "name": "bot"}])
        if method == "POST" and re.fullmatch(r"/repos/acme/site/(issues/1/labels|pulls/1/requested_reviewers)", path):
            if body.get("reviewers") == ["nobody"]:
                return answer(404, {"message": "user does not exist"})
            return answer(201 if "reviewers" in body else 200, [])
        return answer(404, {"message": "not found"})


def answer(status: int, told: Any, headers: dict[str, str] | None = None) -> bytes:
    """Return an answer of an API."""
    body = json.dumps(told).encode()
    lines = [f"{name}: {value}" for name, value in (PLAIN | (headers or {})).items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(body)}", "Connection: close"])
    return head.encode() + b"\r\n\r\n" + body
