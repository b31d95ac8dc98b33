"""The tools of agents, as far as nothing is done: what each says of itself, and what becomes of a call of one.

A call is made, asked a person about, put to a person as a question, or refused. What is refused is told to the model,
which may do better: a tool that there is not, and arguments that are wrong, are no failures of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

import msgspec

from runwright.domain.agent_terms import AgentTerms, Risk
from runwright.domain.json_schema import BadSchema, JsonSchema
from runwright.domain.model_call import Tool, ToolCall
from runwright.errors import FieldError

Effect = Literal["read_only", "idempotent", "unsafe"]
"""What a call that is made twice does: nothing, the same as once, or more than once."""

RISKS: tuple[Risk, ...] = ("low", "medium", "high")
TIMEOUT_S = 120.0
ARGUMENTS_MAX_BYTES = 1 << 20
ASK_USER = "ask_user"

UNKNOWN, NOT_ALLOWED, INVALID = "tool.unknown", "tool.not_allowed", "tool.arguments_invalid"


class Action(msgspec.Struct, frozen=True):
    """One of the things that a tool does. Of the arguments it `needs` some and `takes` others; None: any."""

    risk: Risk
    effect: Effect
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] | None = None


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a tool says of itself. `schema` is the JSON Schema (2020-12) of its arguments, an object.

    `actions` by the value of the argument `by`; a tool that does one thing has one action, named "". One that works
    `in_workspace` is given the run's.
    """

    name: str
    description: str
    schema: dict[str, Any]
    actions: dict[str, Action]
    by: str = ""
    timeout_s: float = TIMEOUT_S
    in_workspace: bool = False

    @cached_property
    def judge(self) -> JsonSchema:
        """Return its schema, ready to judge. Raises `BadSchema`."""
        return JsonSchema(self.schema)

    def action_of(self, arguments: dict[str, Any]) -> str:
        """Return which of its actions arguments ask for."""
        return str(arguments.get(self.by, "")) if self.by else ""

    def timeout_of(self, arguments: dict[str, Any]) -> float:
        """Return how long a call may take: as long as it says itself, if its schema lets it."""
        return float(arguments.get("timeout_s", self.timeout_s))


class ToolRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a persona may do: names of tools, or of one action (`http:GET`). What is denied stays so.

    `allow` None: every tool. `confirm_at` None: nothing is confirmed.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    confirm_at: Risk | None = None

    @classmethod
    def of(cls, terms: AgentTerms) -> ToolRules:
        """Return the rules that a run was created with."""
        return cls(allow=terms.tools, confirm_at=terms.risk_threshold)

    def allows(self, tool: str, action: str) -> bool:
        """Tell whether an action of a tool may be asked for."""
        names = {tool, f"{tool}:{action}"}
        return names.isdisjoint(self.deny) and (self.allow is None or not names.isdisjoint(self.allow))


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """A call that may be made."""

    tool_call_id: str
    tool: str
    arguments: dict[str, Any]
    action: str
    risk: Risk
    effect: Effect
    timeout_s: float = TIMEOUT_S

    @property
    def parallel(self) -> bool:
        """Tell whether it may be made beside others."""
        return self.effect == "read_only"

    @property
    def repeatable(self) -> bool:
        """Tell whether it may be made again when nobody knows how far it came."""
        return self.effect != "unsafe"

    @property
    def args_sha256(self) -> str:
        """Return the digest of its arguments, the same for equal ones."""
        return hashlib.sha256(msgspec.json.encode(self.arguments, order="sorted")).hexdigest()


class Confirm(msgspec.Struct, frozen=True, kw_only=True, tag="confirm"):
    """A call that a person decides about."""

    call: Ready
    reason: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A question to a person; `schema` is that of the answer, if it is a form."""

    call: Ready
    prompt: str
    schema: dict[str, Any] | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refuse"):
    """A call that is not made; the model is told why."""

    tool_call_id: str
    tool: str
    code: str
    message: str


Decision = Ready | Confirm | Ask | Refused


class Catalogue:
    """The tools that there are, by name. Raises `ValueError` for two of one name, `BadSchema` for a bad schema."""

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self.specs: dict[str, ToolSpec] = {}
        for spec in specs:
            if spec.name in self.specs:
                raise ValueError(f"two tools are called {spec.name}")
            self.specs[spec.name] = spec
            _ = spec.judge

    def unknown(self, rules: ToolRules) -> list[str]:
        """Return the names in rules that no tool and no action has: a word that is misspelt denies nothing."""
        known = {name for spec in self.specs.values() for name in _names(spec)}
        return [name for name in (*(rules.allow or ()), *rules.deny) if name not in known]

    def offered(self, rules: ToolRules) -> tuple[Tool, ...]:
        """Return the tools that a model is told of, each with the actions that it may ask for."""
        found = ((spec, _allowed(spec, rules)) for spec in self.specs.values())
        return tuple(Tool(spec.name, spec.description, _narrowed(spec, actions)) for spec, actions in found if actions)

    def decide(self, call: ToolCall, rules: ToolRules) -> Decision:
        """Return what becomes of a call that a model made."""
        spec = self.specs.get(call.name)
        if spec is None:
            known = ", ".join(tool.name for tool in self.offered(rules)) or "none"
            return _refused(call, UNKNOWN, f"there is no tool of this name; there are: {known}")
        if not _allowed(spec, rules):
            return _refused(call, NOT_ALLOWED, f"{call.name} is not among the tools of this persona")
        try:
            arguments = _read(call.arguments)
        except ValueError as wrong:
            return _refused(call, INVALID, str(wrong))
        return self._decide(call, spec, arguments, rules)

    def confirmed(self, call: ToolCall, arguments: dict[str, Any] | None, rules: ToolRules) -> Decision:
        """Return what becomes of a call that a person approved, perhaps with other arguments.

        What the rules deny, or the schema refuses, stays refused.
        """
        if arguments is not None:
            call = msgspec.structs.replace(call, arguments=msgspec.json.encode(arguments).decode())
        decided = self.decide(call, rules)
        return decided.call if isinstance(decided, Confirm) else decided

    def _decide(self, call: ToolCall, spec: ToolSpec, arguments: dict[str, Any], rules: ToolRules) -> Decision:
        problems = spec.judge.problems(arguments, "", len(call.arguments))
        name = spec.action_of(arguments)
        action = spec.actions.get(name)
        if not problems and action is not None:
            problems = _misplaced(spec, name, action, arguments)
        if problems or action is None:
            said = "; ".join(f"{each.path or 'arguments'}: {each.message}" for each in problems)
            return _refused(call, INVALID, said or f"{spec.by}: must be one of {', '.join(spec.actions)}")
        if not rules.allows(spec.name, name):
            may = ", ".join(_allowed(spec, rules))
            return _refused(call, NOT_ALLOWED, f"{name} is nothing that {spec.name} may do here; it may do: {may}")
        ready = Ready(
            tool_call_id=call.id,
            tool=spec.name,
            arguments=arguments,
            action=name,
            risk=action.risk,
            effect=action.effect,
            timeout_s=spec.timeout_of(arguments),
        )
        if spec.name == ASK_USER:
            return _question(call, ready)
        if rules.confirm_at is not None and RISKS.index(action.risk) >= RISKS.index(rules.confirm_at):
            what = f"{spec.name} {name}".strip()
            reason = f"{what} is of {action.risk} risk; from {rules.confirm_at} on a person decides"
            return Confirm(call=ready, reason=reason)
        return ready


def _question(call: ToolCall, ready: Ready) -> Ask | Refused:
    schema = ready.arguments.get("schema")
    try:
        if schema is not None:
            JsonSchema(schema)
    except BadSchema as wrong:
        return _refused(call, INVALID, f"schema: {wrong}")
    return Ask(call=ready, prompt=ready.arguments["question"], schema=schema)


def _read(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "replace")) > ARGUMENTS_MAX_BYTES:
        raise ValueError(f"the arguments have more than {ARGUMENTS_MAX_BYTES} bytes")
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
        raise ValueError(f"the arguments are no JSON: {wrong}") from None
    if not isinstance(found, dict):
        raise ValueError("the arguments must be a JSON object")
    return found


def _misplaced(spec: ToolSpec, name: str, action: Action, arguments: dict[str, Any]) -> list[FieldError]:
    missing = [FieldError(each, f"is needed by {name}") for each in action.needs if each not in arguments]
    if action.takes is None:
        return missing
    known = {spec.by, *action.needs, *action.takes}
    return missing + [FieldError(each, f"is nothing that {name} takes") for each in arguments if each not in known]


def _refused(call: ToolCall, code: str, message: str) -> Refused:
    return Refused(tool_call_id=call.id, tool=call.name, code=code, message=message)


def _names(spec: ToolSpec) -> Iterable[str]:
    yield spec.name
    yield from (f"{spec.name}:{action}" for action in spec.actions if action)


def _allowed(spec: ToolSpec, rules: ToolRules) -> list[str]:
    return [action for action in spec.actions if rules.allows(spec.name, action)]


def _narrowed(spec: ToolSpec, actions: list[str]) -> dict[str, Any]:
    if not spec.by or len(actions) == len(spec.actions):
        return spec.schema
    properties = spec.schema["properties"]
    return spec.schema | {"properties": properties | {spec.by: properties[spec.by] | {"enum": actions}}}
