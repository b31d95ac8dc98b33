"""Real repositories of git, made by git in a directory, plain ones and hostile ones."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha1
from pathlib import Path
from zlib import compress

_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_ALLOW_PROTOCOL": "file",
}


class Repository:
    """A repository in a directory."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *words: str, given: bytes = b"") -> str:
        """Run git in it."""
        ran = subprocess.run(["git", *words], cwd=self.path, env=_ENV, input=given, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout.decode().strip()

    def write(self, path: str, content: bytes | str, *, program: bool = False) -> None:
        """Write a file of the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(0o755 if program else 0o644)

    def commit(self, **files: str) -> str:
        """Commit the work tree, with files by name; return the digest."""
        for name, content in files.items():
            self.write(name, content)
        self.git("-c", "core.autocrlf=false", "add", "--all", "--force")
        return self.commit_index()

    def commit_index(self) -> str:
        """Commit what is staged."""
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "--message=x")
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, *entries: tuple[str, bytes, bytes]) -> str:
        """Commit a tree that no git would make: entries of mode, name and content, as they are; return the digest."""
        body = b""
        for mode, name, content in entries:
            oid = self.loose(b"tree" if mode == "40000" else b"blob", content)
            body += mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid)
        commit = self.git("commit-tree", self.loose(b"tree", body), "-m", "x")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def loose(self, kind: bytes, content: bytes) -> str:
        """Store an object as it is; return its digest."""
        whole = kind + b" " + str(len(content)).encode() + b"\0" + content
        oid = sha1(whole, usedforsecurity=False).hexdigest()
        stored = self.path / ".git/objects" / oid[:2] / oid[2:]
        stored.parent.mkdir(exist_ok=True)
        if not stored.exists():
            stored.write_bytes(compress(whole))
        return oid

    def entry(self, mode: str, name: bytes, oid: str) -> bytes:
        """Return an entry of a tree."""
        return mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid)
