"""The tool `files`: read, list, write and edit what lies in the run's workspace, and nothing else."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import Any

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.port import Fault, Result, Said, Scene
from runwright.domain.tools import Action, Ready, ToolSpec
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath, Outside, parts_of
from runwright.sandbox.surely import whole

ENTRIES_MAX = 1000
_TEXT = {"type": "string", "maxLength": 1 << 20}
_SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": ["read", "list", "write", "edit"]},
        "path": {
            "type": "string",
            "maxLength": 1024,
            "description": "Relative to the workspace; for list: a directory",
        },
        "from_line": {"type": "integer", "minimum": 1, "description": "read: the first line, counted from 1"},
        "lines": {"type": "integer", "minimum": 1, "description": "read: how many lines at most"},
        "content": _TEXT | {"description": "write: what the file holds afterwards"},
        "old": _TEXT | {"minLength": 1, "description": "edit: the text that is replaced; it must be there once"},
        "new": _TEXT | {"description": "edit: the text in its place"},
        "all": {"type": "boolean", "description": "edit: replace it wherever it is"},
    },
    "required": ["action"],
    "additionalProperties": False,
}


class NotDone(Exception):
    """Say why nothing was done, by code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Files:
    """Works on the files themselves, of which the sandbox's commands see the same; follows no link."""

    spec = ToolSpec(
        name="files",
        description="Read, list, write and edit text files in the workspace (/workspace). Links are not followed.",
        schema=_SCHEMA,
        actions={
            "read": Action("low", "read_only", ("path",), ("from_line", "lines")),
            "list": Action("low", "read_only", (), ("path",)),
            "write": Action("medium", "idempotent", ("path", "content"), ()),
            "edit": Action("medium", "idempotent", ("path", "old", "new"), ("all",)),
        },
        by="action",
        in_workspace=True,
    )

    def __init__(self, bounds: ToolBounds) -> None:
        self._bounds = bounds

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Do what the call asks for."""
        try:
            return await whole(asyncio.to_thread(self._do, scene.place.files, call))
        except NotDone as why:
            return Fault(why.code, str(why))
        except Outside as why:
            return Fault("files.refused", str(why))
        except FileNotFoundError:
            return Fault("files.not_found", f"there is no {call.arguments.get('path') or 'workspace'}")
        except OSError as why:
            return Fault("files.failed", why.strerror or "the system refused it")

    def _do(self, root: Beneath, call: Ready) -> Result:
        asked = call.arguments
        parts = parts_of(asked.get("path", ""))
        if call.action == "list":
            return _list(root, parts)
        if not parts:
            raise Outside("the workspace itself is a directory; name a file in it")
        if call.action == "read":
            return self._read(root, parts, asked.get("from_line", 1), asked.get("lines"))
        if call.action == "write":
            return self._write(root, parts, asked["content"])
        return self._edit(root, parts, asked)

    def _text(self, root: Beneath, parts: tuple[str, ...]) -> str:
        most = self._bounds.tree.bytes
        path = "/".join(parts)
        with (
            beneath.directory(root.root, parts[:-1]) as fd,
            os.fdopen(beneath.opened(fd, parts[-1], path), "rb") as file,
        ):
            content = file.read(most + 1)
        if len(content) > most:
            raise NotDone("files.too_large", f"{path} has more than {most} bytes")
        try:
            if b"\0" not in content:
                return content.decode()
        except UnicodeDecodeError:
            pass
        raise NotDone("files.binary", f"{path} is no text (UTF-8), of {len(content)} bytes")

    def _read(self, root: Beneath, parts: tuple[str, ...], first: int, count: int | None) -> Result:
        lines = self._text(root, parts).split("\n")
        total = len(lines) - (lines[-1] == "")
        wanted = lines[first - 1 :] if count is None else lines[first - 1 : first - 1 + count]
        whole = "\n".join(wanted) + ("\n" if first - 1 + len(wanted) < len(lines) and wanted else "")
        content = whole.encode()[: self._bounds.output_max_bytes].decode("utf-8", "ignore")
        told = {"content": content, "from_line": first, "total_lines": total}
        return Said(told, truncated=len(content) < len(whole))

    def _write(self, root: Beneath, parts: tuple[str, ...], text: str) -> Result:
        if not root.writable:
            raise Outside("this run may only read its workspace; say what you would change instead")
        content = text.encode()
        with beneath.directory(root.root, parts[:-1], make_for=root) as fd:
            created = beneath.replace(fd, parts[-1], "/".join(parts), content, root.owner)
        return Said({"bytes": len(content), "created": created})

    def _edit(self, root: Beneath, parts: tuple[str, ...], asked: dict[str, Any]) -> Result:
        before, old, new = self._text(root, parts), asked["old"], asked["new"]
        count = before.count(old)
        if count == 0:
            raise NotDone("files.no_match", "the old text is not in the file; read it and copy the text exactly")
        if count > 1 and not asked.get("all", False):
            message = f"the old text is there {count} times; say more of what is around it, or all"
            raise NotDone("files.ambiguous", message)
        after = before.replace(old, new)
        if len(after.encode()) > self._bounds.tree.bytes:
            raise NotDone("files.too_large", f"it would have more than {self._bounds.tree.bytes} bytes")
        self._write(root, parts, after)
        return Said({"replaced": count})


def _list(root: Beneath, parts: tuple[str, ...]) -> Result:
    found: list[dict[str, Any]] = []
    with beneath.directory(root.root, parts) as fd, os.scandir(fd) as entries:
        for entry in entries:
            found.append({"name": entry.name} | _described(entry, fd))
            if len(found) > ENTRIES_MAX:
                break
    found.sort(key=lambda each: str(each["name"]))
    return Said({"entries": found[:ENTRIES_MAX]}, truncated=len(found) > ENTRIES_MAX)


def _described(entry: os.DirEntry[str], fd: int) -> dict[str, Any]:
    mode = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(mode.st_mode):
        return {"kind": "directory"}
    if stat.S_ISLNK(mode.st_mode):
        return {"kind": "link", "to": os.readlink(entry.name, dir_fd=fd)}
    if stat.S_ISREG(mode.st_mode):
        return {"kind": "program" if mode.st_mode & stat.S_IXUSR else "file", "bytes": mode.st_size}
    return {"kind": "other"}
