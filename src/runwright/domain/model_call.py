"""A call of a language model, and what it streams back, in the words of no provider."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ProviderKind = Literal["openai", "openai-compatible", "anthropic", "local", "scripted"]
"""Who is asked, and how: OpenAI's responses; chat completions, OpenAI's or of any server that speaks them; Anthropic's
messages; the model in this process; a script."""

Role = Literal["user", "assistant", "tool"]
Channel = Literal["final", "thinking"]

_TOKENS_MAX = 1_000_000_000
_TOKENS_PER_PART = 32
_TOKENS_PER_IMAGE = 16_384


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Words of a message."""

    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture in the message of a user, with its bytes; no provider is made to fetch one."""

    media_type: str
    data: bytes


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """What a model asks a tool to do; `arguments` is its JSON text as it wrote it, which may be no JSON at all."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What became of a tool call, as the model is told; `failed` says so where the provider has a word for it."""

    tool_call_id: str
    content: str
    failed: bool = False


Part = Text | Image | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True):
    """A message of the conversation: users have texts and images, assistants texts and tool calls, tools results."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Return its words."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call; `schema` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    schema: dict[str, Any]


class OnlyTool(msgspec.Struct, frozen=True):
    """The choice of one tool, by name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | OnlyTool


class Counted(msgspec.Struct, frozen=True):
    """What a provider counted: so many `tokens` in a prompt, with its system text and tools.

    The prompt was the first `messages` of the conversation, but for the very first, which were `left_out`.
    """

    messages: int
    tokens: int
    left_out: int = 0


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a model. `base_url` leads to another server than the provider's own; keys are never part of it.

    So many messages of the conversation were `left_out` before the first of these.
    """

    provider: ProviderKind
    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int
    system: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    base_url: str | None = None
    left_out: int = 0

    def input_tokens_at_most(self, counted: Counted | None = None) -> int:
        """Return no fewer tokens than the prompt can have, to reserve money for.

        A token of text is at least one byte of it; each part and tool adds what a provider writes around it. Images
        count as what the most generous provider makes of the largest. What the provider has `counted` of the same
        beginning is taken as it says, if that is less.
        """
        count = len(self.system.encode()) + _TOKENS_PER_PART
        for tool in self.tools:
            count += len(tool.name.encode()) + len(tool.description.encode()) + len(msgspec.json.encode(tool.schema))
            count += _TOKENS_PER_PART
        count += _tokens_at_most(self.messages)
        if counted is None:
            return count
        return min(count, counted.tokens + _tokens_at_most(self.messages[counted.messages - self.left_out :]))


def _tokens_at_most(messages: tuple[Message, ...]) -> int:
    parts = [part for message in messages for part in message.parts]
    return sum(map(_bytes_of, parts)) + _TOKENS_PER_PART * (len(parts) + len(messages))


def _bytes_of(part: Part) -> int:
    match part:
        case Text(text):
            return len(text.encode())
        case Image():
            return _TOKENS_PER_IMAGE
        case ToolCall(ident, name, arguments):
            return len(ident.encode()) + len(name.encode()) + len(arguments.encode())
        case ToolResult(ident, content):
            return len(ident.encode()) + len(content.encode())


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a call: `input_tokens` with the cached ones among them, `output_tokens` with the reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


def reported(input_tokens: Any, output_tokens: Any, cached_tokens: Any = 0, reasoning_tokens: Any = 0) -> Usage | None:
    """Return the usage that a provider reports; None for what cannot be true, which is as good as no report.

    Part counts that are missing or out of bounds are taken as nothing, or as the whole.
    """
    if not (_is_count(input_tokens) and _is_count(output_tokens)):
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=min(cached_tokens, input_tokens) if _is_count(cached_tokens) else 0,
        reasoning_tokens=min(reasoning_tokens, output_tokens) if _is_count(reasoning_tokens) else 0,
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_MAX


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """More words of the model, for the reader or of its thinking."""

    text: str
    channel: Channel = "final"


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """More of the tool call at `index`: the first piece of each has its id and name, and `arguments` add up."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


StopReason = Literal["stop", "tools", "length", "filter"]
"""Why a model stopped: it was done (or met a stop text), calls tools, was cut at a limit, or refuses."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end of an answer. `usage` is None when the provider told none that can be believed."""

    stop_reason: StopReason
    usage: Usage | None = None


ModelEvent = TextDelta | ToolCallDelta | Done


class Answer:
    """Gathers what a model streams; whatever came counts, also when the stream broke before its end."""

    def __init__(self) -> None:
        self._texts: dict[Channel, list[str]] = {"final": [], "thinking": []}
        self._calls: dict[int, list[str]] = {}
        self.done: Done | None = None

    def add(self, event: ModelEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text, channel):
                self._texts[channel].append(text)
            case ToolCallDelta(index, ident, name, arguments):
                call = self._calls.setdefault(index, ["", "", ""])
                call[0] = call[0] or ident
                call[1] = call[1] or name
                call[2] += arguments
            case Done():
                self.done = event

    @property
    def text(self) -> str:
        """Return the words for the reader."""
        return "".join(self._texts["final"])

    @property
    def thinking(self) -> str:
        """Return the words of its thinking."""
        return "".join(self._texts["thinking"])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls in their order; one without arguments has ``{}``."""
        return tuple(
            ToolCall(ident, name, arguments or "{}") for _, (ident, name, arguments) in sorted(self._calls.items())
        )

    @property
    def empty(self) -> bool:
        """Tell whether nothing came that a model wrote."""
        return not (self._calls or self._texts["final"] or self._texts["thinking"])
