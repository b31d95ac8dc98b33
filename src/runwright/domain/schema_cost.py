"""Bound what a JSON Schema may cost before anybody is judged by it.

A schema of forty lines, each of which refers twice to the next, asks 2^40 questions; one that refers to itself twice
asks twice as many with each level of a value. So the questions are counted here, through every reference: how many a
schema can ask of one place in a value that has so many levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin

import msgspec

COST_MAX = 500
"""Questions about one place beyond which a schema is refused, if they do not depend on the levels of the value."""
DEPTH_MAX = 100
LEVELS = 64
SATURATED = 1 << 40
META = "https://json-schema.org/draft/2020-12/"
META_COST = 50
ENUM_PER_QUESTION = 16

BESIDE = ("not", "if", "then", "else")
BESIDE_LISTS = ("allOf", "anyOf", "oneOf")
REST = {"named": ("additionalProperties", "unevaluatedProperties"), "placed": ("items", "unevaluatedItems")}
"""What is asked only of members and elements that nothing else is asked of."""
ALL = {"members": ("propertyNames",), "elements": ("contains",)}
CHILDREN = tuple(name for names in (*REST.values(), *ALL.values()) for name in names)
NAMED = ("$defs", "definitions", "properties", "patternProperties", "dependentSchemas")

Cost = tuple[int, int, int]
"""Questions about a value itself, and the most about one member of it, and about one element."""
_PLAIN: Cost = (1, 0, 0)


class Costly(ValueError):
    """Refuse a schema: `path` is the place within it, `message` says why."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def costs(schema: Any) -> list[int]:
    """Return the most questions about one place of a value, by its levels; the last holds for all that are deeper.

    Raises `Costly` for a schema that asks too much of every value, nests too deeply, or refers to what it does not
    have. What is no schema at all is left for the library to refuse.
    """
    graph = _Graph(schema)
    found: list[int] = []
    former: dict[int, Cost] = {}
    while True:
        level = graph.evaluate(former)
        found.append(max(level[graph.root]))
        still = level == former
        if (found[-1] if still else found[0]) > COST_MAX:
            raise Costly("", f"asks more than {COST_MAX} questions of one place in a value; let it branch less")
        if still:
            return found
        if len(found) > LEVELS or found[-1] >= SATURATED:
            return [*found, SATURATED]
        former = level


class _Node(msgspec.Struct):
    """A schema as lists of others: those of the same value, those of which a member meets one, those it meets all of;
    and the same for elements.
    """  # fmt: skip

    own: int = 1
    doubled: bool = False
    beside: list[int] = []
    named: list[int] = []
    members: list[int] = []
    placed: list[int] = []
    elements: list[int] = []


class _Graph:
    """The schemas within a schema, by number, with every reference followed."""

    def __init__(self, schema: Any) -> None:
        self._bases: dict[int, str] = {}
        self._resources: dict[str, Any] = {"": schema}
        self._anchors: dict[str, Any] = {}
        self._dynamic: dict[str, list[Any]] = {}
        self._numbers: dict[int, int] = {}
        self.nodes: list[_Node] = []
        self._index(schema, "", "", 0)
        self.root = self._number(schema, "", 0)

    def evaluate(self, former: dict[int, Cost]) -> dict[int, Cost]:
        """Return what each schema costs for values of one more level than in `former`."""
        known: dict[int, Cost] = {}
        for number in range(len(self.nodes)):
            self._evaluate(number, former, known, set())
        return known

    def _evaluate(self, number: int, former: dict[int, Cost], known: dict[int, Cost], under_way: set[int]) -> Cost:
        if number in known:
            return known[number]
        if number in under_way:
            return _PLAIN  # the library does not ask the same question of the same value again, either
        under_way.add(number)
        node = self.nodes[number]

        def most(inner: int) -> int:
            return max(former.get(inner, _PLAIN))

        here = node.own
        members = max(map(most, node.named), default=0) + sum(map(most, node.members))
        elements = max(map(most, node.placed), default=0) + sum(map(most, node.elements))
        for inner in node.beside:
            cost = self._evaluate(inner, former, known, under_way)
            here, members, elements = here + cost[0], members + cost[1], elements + cost[2]
        under_way.discard(number)
        times = 2 if node.doubled else 1
        known[number] = found = (
            min(times * here, SATURATED),
            min(times * members, SATURATED),
            min(times * elements, SATURATED),
        )
        return found

    # --- names --------------------------------------------------------------------------------------------------------

    def _index(self, node: Any, base: str, path: str, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise Costly(path, f"has more than {DEPTH_MAX} levels")
        if not isinstance(node, dict):
            return
        if isinstance(node.get("$id"), str):
            base = urljoin(base, node["$id"]).rstrip("#")
            self._resources[base] = node
        self._bases[id(node)] = base
        for word in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(word), str):
                self._anchors[f"{base}#{node[word]}"] = node
        if isinstance(node.get("$dynamicAnchor"), str):
            self._dynamic.setdefault(node["$dynamicAnchor"], []).append(node)
        for name, inner in _parts(node):
            self._index(inner, base, _join(path, name), depth + 1)

    def _target(self, node: dict[str, Any], reference: str, path: str) -> Any:
        """Return what a reference names; None for a published meta-schema."""
        base = self._bases.get(id(node), "")
        whole = base + reference if reference.startswith("#") else urljoin(base, reference)
        where, _, fragment = whole.partition("#")
        if where.startswith(META):
            return None
        try:
            if fragment and not fragment.startswith("/"):
                return self._anchors[f"{where}#{fragment}"]
            found = self._resources[where]
            for step in unquote(fragment).split("/")[1:]:
                step = step.replace("~1", "/").replace("~0", "~")
                found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            message = f"{reference[:200]!r} is not in this schema, and nothing is fetched; put it into $defs"
            raise Costly(path, message) from None
        if isinstance(found, dict):
            self._bases.setdefault(id(found), where)
        return found

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _number(self, schema: Any, path: str, depth: int) -> int:
        if not isinstance(schema, dict):
            self.nodes.append(_Node(META_COST if schema is None else 1))
            return len(self.nodes) - 1
        if id(schema) in self._numbers:
            return self._numbers[id(schema)]
        if depth > DEPTH_MAX:
            raise Costly(path, f"has more than {DEPTH_MAX} levels, with its references")
        self._numbers[id(schema)] = number = len(self.nodes)
        node = _Node(doubled="unevaluatedProperties" in schema or "unevaluatedItems" in schema)
        self.nodes.append(node)
        listed = schema.get("enum")
        node.own += len(listed) // ENUM_PER_QUESTION if isinstance(listed, list) else 0

        def numbers(inner: Iterator[tuple[str, Any]]) -> list[int]:
            return [self._number(each, _join(path, name), depth + 1) for name, each in inner]

        node.beside = numbers(self._beside(schema, path))
        node.named = numbers(_inside(schema, "properties")) + numbers(_single(schema, REST["named"]))
        node.members = numbers(_inside(schema, "patternProperties")) + numbers(_single(schema, ALL["members"]))
        node.placed = numbers(_listed(schema, "prefixItems")) + numbers(_single(schema, REST["placed"]))
        node.elements = numbers(_single(schema, ALL["elements"]))
        return number

    def _beside(self, schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        yield from _single(schema, BESIDE)
        for name in BESIDE_LISTS:
            yield from _listed(schema, name)
        yield from _inside(schema, "dependentSchemas")
        if isinstance(schema.get("$ref"), str):
            yield "$ref", self._target(schema, schema["$ref"], _join(path, "$ref"))
        dynamic = schema.get("$dynamicRef")
        if isinstance(dynamic, str):
            named = self._dynamic.get(dynamic.partition("#")[2])
            for each in named or [self._target(schema, dynamic, _join(path, "$dynamicRef"))]:
                yield "$dynamicRef", each


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _single(schema: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    yield from ((name, schema[name]) for name in names if schema.get(name) is not None)


def _listed(schema: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    inner = schema.get(name)
    yield from ((f"{name}[{n}]", each) for n, each in enumerate(inner if isinstance(inner, list) else ()))


def _inside(schema: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    inner = schema.get(name)
    yield from ((f"{name}.{key}", each) for key, each in (inner.items() if isinstance(inner, dict) else ()))


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every schema that a schema holds, with its place."""
    yield from _single(schema, (*BESIDE, *CHILDREN))
    for name in (*BESIDE_LISTS, "prefixItems"):
        yield from _listed(schema, name)
    for name in NAMED:
        yield from _inside(schema, name)
