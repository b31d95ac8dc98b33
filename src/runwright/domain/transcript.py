"""Between the messages of a thread and those that a model is told: what an agent run reads, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from runwright.domain import model_call as m
from runwright.domain import thread as th


class Left(msgspec.Struct, frozen=True):
    """A message that a run leaves in its thread."""

    role: th.Role
    parts: tuple[th.Part, ...]
    hidden: bool


def read(role: str, parts: Iterable[th.Part], images: Mapping[str, bytes], clean: Callable[[str], str]) -> m.Message:
    """Return a message of a thread as a model is told it; words go through `clean`, `images` are bytes by digest."""
    found: list[m.Part] = []
    for part in parts:
        match part:
            case th.TextPart(text):
                found.append(m.Text(clean(text)))
            case th.ImagePart():
                found.append(m.Image(part.media_type, images[part.artifact]))
            case th.FilePart():
                found.append(m.Text(clean(f"[the file {part.name}, {part.media_type}]")))
            case th.ToolCallPart():
                arguments = msgspec.json.encode(part.arguments).decode()
                found.append(m.ToolCall(part.tool_call_id, part.tool_name, arguments))
            case th.ToolResultPart():
                failed = part.error is not None
                said = part.error.get("message") if part.error is not None else part.result
                content = said if isinstance(said, str) else msgspec.json.encode(said).decode()
                found.append(m.ToolResult(part.tool_call_id, clean(content), failed))
    spoken: m.Role = "assistant" if role == "assistant" else "tool" if role == "tool" else "user"
    return m.Message(spoken, tuple(found))


def left_by(messages: Iterable[m.Message], partial: str = "") -> list[Left]:
    """Return what a run leaves of its conversation: its last words for all, what led to them for later runs only."""
    left: list[Left] = []
    names: dict[str, str] = {}
    for message in messages:
        names |= {part.id: part.name for part in message.parts if isinstance(part, m.ToolCall)}
        parts = tuple(each for part in message.parts for each in _written(part, names))
        calls = any(isinstance(part, th.ToolCallPart | th.ToolResultPart) for part in parts)
        if parts:
            left.append(Left(message.role, parts, hidden=calls))
    if partial:
        left.append(Left("assistant", tuple(_written(m.Text(partial), names)), hidden=False))
    return left


def _written(part: m.Part, names: Mapping[str, str]) -> list[th.Part]:
    match part:
        case m.Text(text):
            return [th.TextPart(text[at : at + th.TEXT_MAX]) for at in range(0, len(text), th.TEXT_MAX)]
        case m.ToolCall(ident, name, arguments):
            return [th.ToolCallPart(tool_call_id=ident, tool_name=name, arguments=_object(arguments))]
        case m.ToolResult(ident, content, failed):
            name = names.get(ident, "")
            if failed:
                return [th.ToolResultPart(tool_call_id=ident, tool_name=name, error={"message": content})]
            return [th.ToolResultPart(tool_call_id=ident, tool_name=name, result=content)]
        case m.Image():
            return []  # a run makes none


def _object(arguments: str) -> dict[str, Any]:
    """Return arguments as an object; a model may have written none, and was told so."""
    try:
        found = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
