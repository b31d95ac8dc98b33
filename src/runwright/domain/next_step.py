"""What the loop of an agent run does next: decided by the conversation alone, so every worker decides the same."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.domain import spending
from runwright.domain import tools as t
from runwright.domain.agent_events import RUN_SCOPE, BudgetReached
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.context_window import Fit, Size, fit
from runwright.domain.conversation import GO_ON, Call, Conversation, Open
from runwright.domain.model_call import Message, ModelCall, ProviderKind, Text, Tool
from runwright.domain.question import Asks
from runwright.domain.spending import ALONE, Crowded, Room, Shared

OUTCOME_UNKNOWN = "tool.outcome_unknown"
DENIED = "tool.denied"
EXHAUSTED = "budget.exhausted"
UNPRICED = "budget.unpriced"
TOO_LONG = "context.too_long"
BEGIN = "Begin."
"""What a model is told first where nobody has spoken before it: providers take no conversation that a model begins."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same around a conversation: the run's terms, its prompt, what was said before it, its tools."""

    terms: AgentTerms
    system: str
    history: tuple[Message, ...]
    catalogue: t.Catalogue
    rules: t.ToolRules
    base_url: str | None = None
    warn_percent: int = spending.WARN_PERCENT

    @property
    def offered(self) -> tuple[Tool, ...]:
        """Return the tools that the model is told of."""
        return self.catalogue.offered(self.rules)


class CallModel(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the model, not before an instant, within a room of tokens and money; it hears what was said until then."""

    call: ModelCall
    turn: int
    heard_seq: int
    room: Room
    not_before: int


class RunTools(msgspec.Struct, frozen=True):
    """Make calls, in their order."""

    calls: tuple[t.Ready, ...]


class Tell(msgspec.Struct, frozen=True):
    """Tell the model of a call that is not made: with an `answer` (of a person), or why not."""

    tool_call_id: str
    tool: str
    answer: str | None = None
    code: str = ""
    message: str | None = None
    made: t.Ready | None = None


class TellModel(msgspec.Struct, frozen=True):
    """Tell the model of calls that are not made."""

    told: tuple[Tell, ...]


class AskPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Park until a person answers."""

    request_id: str
    kind: Asks
    prompt: str
    schema: dict[str, Any] | None = None
    tool_call_id: str | None = None


class Settle(msgspec.Struct, frozen=True):
    """Settle a call of the model whose outcome nobody knows, at what was reserved; what was shown of it is reset."""

    open: Open


class Warn(msgspec.Struct, frozen=True):
    """Say which limits are nearly used up."""

    limits: tuple[BudgetReached, ...]


class Rest(msgspec.Struct, frozen=True):
    """Wait a moment: other runs have reserved what this one needs of a budget, and will need less of it."""

    scope: str


class Exhaust(msgspec.Struct, frozen=True):
    """Say which limit has not enough left for what comes next."""

    limit: BudgetReached


class Finish(msgspec.Struct, frozen=True):
    """The conversation is over: this is its last word."""

    text: str


class Fail(msgspec.Struct, frozen=True):
    """The run cannot go on; `reason` is that of its end."""

    reason: str
    code: str
    message: str
    error_class: str = "BudgetExceeded"


Step = CallModel | RunTools | TellModel | AskPerson | Settle | Warn | Rest | Exhaust | Finish | Fail


def next_step(talk: Conversation, stage: Stage, now: int, shared: Shared = ALONE) -> Step:
    """Return what is to be done next; when it is done, the log says so, and the conversation stands elsewhere."""
    if talk.open is not None:
        return Settle(talk.open)
    near = spending.warnings(stage.terms, talk, now, shared, stage.warn_percent)
    if near:
        return Warn(near)
    if talk.finished:
        return Finish(talk.messages[-1].text)
    if talk.exhausted is not None:
        return _spent(talk, stage, talk.exhausted)
    return _tools(talk, stage, now) if talk.calls else _model(talk, stage, now, shared)


def prompt_of(talk: Conversation, stage: Stage) -> tuple[Message, ...]:
    """Return all messages that the next call of the model could have, whatever its context takes."""
    heard = tuple(Message("user", (Text(each.content),)) for each in talk.heard)
    said = (*stage.history, *talk.messages, *heard)
    begins = said and said[0].role == "user"
    return said if begins else (Message("user", (Text(BEGIN),)), *said)


def _model(talk: Conversation, stage: Stage, now: int, shared: Shared) -> Step:
    terms = stage.terms
    provider: ProviderKind = msgspec.convert(terms.provider, ProviderKind)
    said = prompt_of(talk, stage)
    fits = _fitted(said, talk, stage)
    if isinstance(fits, Fail):
        return fits
    call = ModelCall(
        provider=provider,
        model=terms.model,
        messages=said[fits.left_out :],
        left_out=fits.left_out,
        max_output_tokens=fits.max_output_tokens,
        system=stage.system,
        tools=stage.offered,
        temperature=terms.temperature,
        base_url=stage.base_url,
    )
    try:
        room = spending.room_for(terms, talk, call, now, shared)
    except spending.Unpriced:
        told = f"the price of {terms.model} is not known, so no limit of money can be kept; give its route a price"
        return Fail("budget", UNPRICED, told)
    if isinstance(room, Crowded):
        return Rest(room.scope)
    if isinstance(room, BudgetReached):
        return Exhaust(room)
    call = replace(call, max_output_tokens=room.max_output_tokens)
    heard_seq = talk.heard[-1].seq if talk.heard else 0
    return CallModel(call=call, turn=talk.spent.turns + 1, heard_seq=heard_seq, room=room, not_before=talk.not_before)


def _fitted(said: tuple[Message, ...], talk: Conversation, stage: Stage) -> Fit | Fail:
    """Return what of the messages fits into the model's context; those that the run is to answer are always told."""
    terms, began = stage.terms, len(said) - len(talk.messages) - len(talk.heard)
    turn = max((at for at in range(began) if said[at].role == "user"), default=0)
    while turn > 0 and said[turn - 1].role == "user":
        turn -= 1
    size = Size(stage.system, stage.offered, said, talk.counted)
    fits = fit(size, said, talk.left_out, turn, terms.context_window, terms.max_output_tokens)
    if isinstance(fits, Fit):
        return fits
    has = f"what the run itself is about has about {fits.tokens} tokens"
    takes = f"the context of {terms.model} takes {terms.context_window}, the answer's among them"
    told = f"{has}, and {takes}: say less, or give the route a model and a context_window that take more"
    return Fail("error", TOO_LONG, told, "ContextExceeded")


def _spent(talk: Conversation, stage: Stage, limit: BudgetReached) -> Step:
    own = limit.scope == RUN_SCOPE
    what = f"the run's limit {limit.limit_name} is used up: {limit.used} of {limit.limit}"
    if not own:
        spent = f"{limit.used} of {limit.limit} micro-USD are spent"
        what = f"the budget of the {limit.scope} has too little left for another call: {spent}"
    if stage.terms.budget.on_exceeded != "ask" or talk.denied:
        return Fail("budget", EXHAUSTED, what)
    again = talk.granted.count(limit.name) + 1
    choice = "Approve to let it use as much again" if own else "Raise the budget and approve to go on"
    return AskPerson(
        request_id=f"budget_{limit.name}_{again}", kind="confirmation", prompt=f"{what}. {choice}, deny to end it."
    )


def _tools(talk: Conversation, stage: Stage, now: int) -> Step:
    """Take the calls in their order, up to the first that a person must be asked about."""
    ready: list[t.Ready] = []
    told: list[Tell] = []
    question: AskPerson | None = None
    for call in talk.calls:
        if call.told is not None:
            continue
        decided = _decided(call, talk, stage)
        if isinstance(decided, AskPerson):
            question = decided
            break
        if isinstance(decided, Tell):
            told.append(decided)
        else:
            ready.append(decided)
    made = [each.tool_call_id for each in ready] + [each.tool_call_id for each in told if each.made is not None]
    if question is not None and question.tool_call_id is not None:
        made.append(question.tool_call_id)
    begun = {each.call.id for each in talk.calls if each.begun}
    over = spending.exceeded(stage.terms, talk, "tool_calls", len(set(made) - begun), now)
    if over is not None:
        return Exhaust(over)
    if told:
        return TellModel(tuple(told))
    if ready:
        late = spending.exceeded(stage.terms, talk, "wall_s", 1, now)
        return RunTools(tuple(ready)) if late is None else Exhaust(late)
    assert question is not None
    return question


def _decided(call: Call, talk: Conversation, stage: Stage) -> t.Ready | Tell | AskPerson:
    decided: t.Decision | Tell = stage.catalogue.decide(call.call, stage.rules)
    asked = talk.asked.get(_request_of(call.call.id))
    if isinstance(decided, t.Confirm | t.Ask) and not call.begun and (asked is None or asked.content is None):
        return _question(decided)
    if isinstance(decided, t.Ask):
        content = asked.content if asked is not None else None
        return Tell(call.call.id, decided.call.tool, content or "", made=decided.call)
    if isinstance(decided, t.Confirm):
        decided = _confirmed(call, decided, asked.value if asked is not None else None, stage)
    if call.begun and not (isinstance(decided, t.Ready) and decided.repeatable):
        told = "the worker was lost while the call was made; nobody knows what it did: look before it is made again"
        return Tell(call.call.id, call.call.name, code=OUTCOME_UNKNOWN, message=told)
    if isinstance(decided, t.Refused):
        return Tell(decided.tool_call_id, decided.tool, code=decided.code, message=decided.message)
    assert isinstance(decided, t.Ready | Tell)
    return decided


def _confirmed(call: Call, asked: t.Confirm, answer: Any, stage: Stage) -> t.Decision | Tell:
    given = answer if isinstance(answer, dict) else {}
    if given.get("decision") != GO_ON:
        return Tell(call.call.id, asked.call.tool, code=DENIED, message=given.get("comment"))
    return stage.catalogue.confirmed(call.call, given.get("arguments"), stage.rules)


def _question(asked: t.Confirm | t.Ask) -> AskPerson:
    ident = asked.call.tool_call_id
    if isinstance(asked, t.Ask):
        return AskPerson(
            request_id=_request_of(ident), kind="question", prompt=asked.prompt, schema=asked.schema, tool_call_id=ident
        )
    shown = msgspec.json.encode(asked.call.arguments).decode()
    prompt = f"{asked.reason}. {asked.call.tool} is called with {shown}"
    return AskPerson(request_id=_request_of(ident), kind="confirmation", prompt=prompt, tool_call_id=ident)


def _request_of(tool_call_id: str) -> str:
    return f"rq_{tool_call_id}"
