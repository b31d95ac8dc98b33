"""Threads and their messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Title = Annotated[str, Meta(max_length=200)]
Role = Literal["user", "assistant", "tool", "system"]
OnBusy = Literal["reject", "enqueue", "interrupt"]
"""What a new run does where another has its turn: it is refused, it waits for its own, or it also ends the other."""

PARTS_MAX = 64
TEXT_MAX = 262_144


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Words."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]


class ImagePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="image", forbid_unknown_fields=True):
    """A picture, by the digest of an artifact of the project."""

    artifact: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]


class FilePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file", forbid_unknown_fields=True):
    """A file, by the digest of an artifact of the project."""

    artifact: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    media_type: Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}$")]


class ToolCallPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A call of a tool, as an assistant made it."""

    tool_call_id: str
    tool_name: str
    arguments: dict[str, Any]


class ToolResultPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """What came of a call of a tool."""

    tool_call_id: str
    tool_name: str
    result: Any = None
    error: dict[str, Any] | None = None


UserPart = TextPart | ImagePart | FilePart
"""What people send."""
Part = TextPart | ImagePart | FilePart | ToolCallPart | ToolResultPart


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation. `persona_id` (`key` or `key@version`) and `route_id` are what its runs are made with."""

    thread_id: str
    org_id: str
    project_id: str
    title: str
    persona_id: str | None
    route_id: str | None
    metadata: dict[str, str]
    next_message_seq: int
    created_at: int
    created_by: str
    updated_at: int
    deleted_at: int | None = None
    erased_at: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a thread, the `seq`th that it ever had; of a deleted one the parts are gone.

    `hidden` ones are what tools and models said to each other: later runs read them, the list leaves them out.
    """

    thread_id: str
    seq: int
    message_id: str
    role: str
    sealed: bytes
    hidden: bool
    run_id: str | None
    created_at: int
    created_by: str
    deleted_at: int | None


def context(message_id: str) -> str:
    """Return what the parts of a message are sealed for."""
    return f"{message_id}/parts"


def text_of(parts: list[Part]) -> str:
    """Return the words of a message."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))
