"""What is accepted is read: a field of a request, a key of a policy, a setting that nothing reads does nothing.

It is looked for by name alone, so a field that shares its name with another may hide; none is wrongly accused.
"""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from runwright import api
from runwright.config import Settings
from runwright.domain import policy_approvals, policy_file, policy_terms, scoped_tests
from tests.house.tree import source

READ = re.compile(r"""\.([a-z_][a-z0-9_]*)\b|["']([a-z_][a-z0-9_]*)["']""")
BY_PREFIX = ("model_", "local_model_")
"""Settings that `agents.providers.port` reads by what stands behind these."""


def words() -> frozenset[str]:
    """Return the names that the package reads somewhere: of attributes, and as texts."""
    found = (
        match for module in source() if module.room not in ("client", "cli") for match in READ.findall(module.text)
    )
    return frozenset(name for match in found for name in match if name)


def asked() -> Iterator[type[msgspec.Struct]]:
    """Yield the shapes of bodies and queries."""
    for module in pkgutil.walk_packages(api.__path__, "runwright.api."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and name.endswith(("Request", "Query")):
                yield kind


def fields(kind: inspect.Type, seen: set[type]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a shape, and of what lies in it: of which class, and by which name."""
    if isinstance(kind, inspect.StructType):
        if kind.cls in seen:
            return
        seen.add(kind.cls)
        for field in kind.fields:
            yield kind.cls.__name__, field.name
            yield from fields(field.type, seen)
    for name in ("types", "item_types"):
        for inner in getattr(kind, name, ()):
            yield from fields(inner, seen)
    for name in ("item_type", "key_type", "value_type", "type"):
        inner = getattr(kind, name, None)
        if isinstance(inner, inspect.Type):
            yield from fields(inner, seen)


def test_every_field_of_a_request_every_key_of_a_policy_and_every_setting_is_read_by_something() -> None:
    parts = (
        policy_file.PolicyFile, policy_terms.PatternRules, policy_terms.JudgeRules, policy_terms.ScannerOptions,
        policy_terms.GateRule, policy_approvals.ApprovalRules, scoped_tests.ScopedTests,
    )  # fmt: skip
    read, seen = words(), set[type]()
    known = [each for kind in (*asked(), *parts) for each in fields(inspect.type_info(kind), seen)]
    assert len(known) > 300
    assert [f"{kind}.{name}" for kind, name in known if name not in read] == []
    for name in (field.name for field in dataclasses.fields(Settings)):
        behind = {name.removeprefix(prefix) for prefix in BY_PREFIX if name.startswith(prefix)}
        assert not read.isdisjoint({name, *behind}), f"nothing reads the setting {name}"
