"""What the loop of an agent run writes: events in their shapes, and the values that they name by digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Literal

import msgspec

from runwright.agents.tools.port import Fault
from runwright.agents.tools.preview import rendered, shown
from runwright.agents.tools.runner import Made
from runwright.agents.tools.workspace import Snapshot
from runwright.domain import agent_events as a
from runwright.domain import next_step as n
from runwright.domain import runtime_events as r
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.conversation import Open
from runwright.domain.model_call import ModelCall, ToolCall, Usage
from runwright.domain.next_move import PATHS
from runwright.domain.price import cost
from runwright.domain.redaction import Redactor
from runwright.domain.tools import Ready
from runwright.sandbox.command import LEFT_OUT

PROMPT, OUTPUT, SNAPSHOT = "prompt", "tool_output", "snapshot"
"""The kinds of values: a message that a model was told, the whole of a long output, what the workspace held last."""
LAST = "last"

_IDENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Note(msgspec.Struct, frozen=True):
    """An event to be appended."""

    type: str
    data: Any
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str = ""


class Kept(msgspec.Struct, frozen=True):
    """A value to be stored."""

    kind: str
    key: str
    data: Any
    schema: dict[str, Any] | None = None


def prompt_of(call: ModelCall, redactor: Redactor) -> list[Kept]:
    """Return what a model is told, by digest: first its prompt with the tools, then message by message.

    The digests are of what is kept, which is redacted: nobody guesses a secret that a prompt holds from them.
    """
    # What the tools say of themselves is ours, and the same each time: it holds no secret.
    head = {"system": redactor.text(call.system), "tools": msgspec.to_builtins(call.tools)}
    said = [msgspec.json.decode(redactor.data(msgspec.to_builtins(message))) for message in call.messages]
    return [Kept(PROMPT, sha256(_canonical(each)).hexdigest(), each) for each in (head, *said)]


def noted(archive_sha256: str) -> dict[str, Any]:
    """Return what is noted beside a snapshot, by which it is found: only the last one is kept."""
    return {"archive_sha256": archive_sha256}


def kept_of(snapshot: Snapshot | None) -> list[Kept]:
    """Return what is kept of a workspace beside the event that tells of it."""
    return [] if snapshot is None else [Kept(SNAPSHOT, LAST, snapshot.archive, noted(snapshot.told.archive_sha256))]


def requested(step: n.CallModel, llm_call_id: str, prompt: Sequence[Kept]) -> Note:
    """Return `llm.request`."""
    data = a.ModelRequested(
        llm_call_id=llm_call_id,
        turn=step.turn,
        provider=step.call.provider,
        model=step.call.model,
        prompt=[each.key for each in prompt],
        heard_seq=step.heard_seq,
        left_out=step.call.left_out,
        input_tokens_at_most=step.room.input_tokens_at_most,
        max_output_tokens=step.room.max_output_tokens,
        reserved_microusd=step.room.reserved_microusd,
    )
    return Note("llm.request", data)


def used(terms: AgentTerms, call: Open, usage: Usage | None, *, billed: bool = True) -> Note:
    """Return `usage.recorded`: what is known, else all that was reserved, and nothing where nothing was asked for."""
    if not billed:
        tokens, microusd = Usage(input_tokens=0, output_tokens=0), 0
    elif usage is None:
        tokens = Usage(input_tokens=call.input_tokens_at_most, output_tokens=call.max_output_tokens)
        microusd = call.reserved_microusd  # type: ignore[assignment]
    else:
        tokens, microusd = usage, cost(terms.price, usage)  # type: ignore[assignment]
    data = a.UsageRecorded(
        llm_call_id=call.llm_call_id,
        provider=terms.provider,
        model=terms.model,
        input_tokens=tokens.input_tokens,
        cached_tokens=tokens.cached_tokens,
        output_tokens=tokens.output_tokens,
        cost_microusd=microusd,
        estimated=billed and usage is None,
    )
    return Note("usage.recorded", data)


def reset(call: Open, reason: str) -> list[Note]:
    """Return `message.reset` for all that was shown of an answer that does not count."""
    return [Note("message.reset", a.MessageReset(segment, reason)) for segment in call.segments]


def named(
    calls: Iterable[ToolCall], llm_call_id: str, taken: Iterable[str] | None, redactor: Redactor
) -> list[ToolCall]:
    """Return calls as they are logged: redacted, each with an id that no other call of the conversation has.

    `taken` None: nobody knows which ids there are, so none is believed to be new but one of ours.
    """
    known = set(taken or ())
    found: list[ToolCall] = []
    for place, call in enumerate(calls):
        kept = taken is not None and _IDENT.fullmatch(call.id) and call.id not in known
        ident = call.id if kept else f"call_{llm_call_id}_{place}"
        known.add(ident)
        found.append(ToolCall(ident, redactor.text(call.name), _clean(call.arguments, redactor)))
    return found


def _clean(arguments: str, redactor: Redactor) -> str:
    try:
        return redactor.raw(arguments.encode()).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return redactor.opening(arguments)


def begun(call: Ready) -> Note:
    """Return `tool.call`."""
    data = a.ToolCall(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool,
        arguments=call.arguments,
        risk=call.risk,
        args_sha256=call.args_sha256,
    )
    return Note("tool.call", data)


def ended(made: Made, redactor: Redactor, preview_bytes: int) -> tuple[Note, list[Kept]]:
    """Return `tool.result` and what is kept beside it. Outputs are redacted whole, before they are cut here."""
    fault = made.result if isinstance(made.result, Fault) else None
    value = made.result.said if isinstance(made.result, Fault) else made.result.value
    clean = _excerpts(value if isinstance(value, str) else msgspec.json.decode(redactor.data(value)), redactor)
    short = shown(rendered(clean), preview_bytes)
    kept: list[Kept] = []
    digest = None
    if short.artifact is not None:
        digest = sha256(short.artifact).hexdigest()
        kept.append(Kept(OUTPUT, digest, rendered(clean)))
    output = clean if digest is None else short.text
    kept += kept_of(made.snapshot)
    error = None
    if fault is not None:
        error = {"code": fault.code, "message": redactor.text(fault.message), "said": output}
    data = a.ToolResult(
        tool_call_id=made.call.tool_call_id,
        tool_name=made.call.tool,
        result=output if fault is None else None,
        error=error,
        duration_ms=made.duration_ms,
        truncated=made.result.truncated or digest is not None,
        artifact=digest,
        snapshot=None if made.snapshot is None else made.snapshot.told,
    )
    return Note("tool.result", data), kept


def denied(made: Made, redactor: Redactor) -> list[Note]:
    """Return `policy.denied` where a call changed what the run's policy lets nobody change; it was undone."""
    fault = made.result
    if not isinstance(fault, Fault) or not fault.outside:
        return []
    data = r.PolicyDenied(
        rule_id=PATHS,
        subject=redactor.text(fault.outside[0]),
        decision="deny",
        reason=redactor.text(fault.message),
        code="PATH_OUT_OF_SCOPE",
        tool_call_id=made.call.tool_call_id,
    )
    return [Note("policy.denied", data, "warning")]


def _excerpts(value: Any, redactor: Redactor) -> Any:
    """Return an output with its texts redacted, each as what it may be: a piece of something that a tool cut."""
    if isinstance(value, str):
        whole = redactor.text(value)
        pieces, marks = LEFT_OUT.split(whole), LEFT_OUT.findall(whole)
        return "".join(f"{redactor.excerpt(piece)}{mark}" for piece, mark in zip(pieces, [*marks, ""], strict=True))
    if isinstance(value, list):
        return [_excerpts(each, redactor) for each in value]
    if isinstance(value, dict):
        return {name: _excerpts(each, redactor) for name, each in value.items()}
    return value


def told(each: n.Tell, redactor: Redactor) -> list[Note]:
    """Return what is logged of a call that is not made."""
    if each.made is None and each.code != n.OUTCOME_UNKNOWN:
        comment = None if each.message is None else redactor.text(each.message)
        denied = a.ToolDenied(tool_call_id=each.tool_call_id, tool_name=each.tool, reason=each.code, comment=comment)
        return [Note("tool.denied", denied)]
    unknown = None if each.made is not None else {"code": each.code, "message": each.message}
    result = a.ToolResult(
        tool_call_id=each.tool_call_id,
        tool_name=each.tool,
        result=each.answer,
        error=unknown,
        duration_ms=0,
        truncated=False,
    )
    return [*([] if each.made is None else [begun(each.made)]), Note("tool.result", result)]
