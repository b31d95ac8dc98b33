"""A patch that makes a gate pass without mending anything is refused by the guard that it is the matter of."""

from typing import NamedTuple

from runwright.domain.guards import refusals


class Scope(NamedTuple):
    denied: tuple[str, ...] = ()

    def allows(self, path):
        return not path.startswith(self.denied)


class Switches(NamedTuple):
    forbid_test_deletion: bool = True
    forbid_new_suppressions: bool = True
    forbid_gate_edits: bool = True
    max_files: int = 50
    max_changed_lines: int = 2_000


class Gate(NamedTuple):
    command: tuple[str, ...]


class Policy(NamedTuple):
    scope: Scope = Scope()
    tamper_guards: Switches = Switches()
    quality_gates: tuple[Gate, ...] = ()


POLICY = Policy()


def said(before, after, policy=POLICY, **limits):
    return {(each.guard, each.path) for each in refusals(before, after, policy, **limits)}


def test_a_path_that_the_policy_denies_is_out_of_scope() -> None:
    policy = Policy(scope=Scope(("migrations/",)))
    assert said({}, {"migrations/1.sql": "x", "src/a.py": "x"}, policy) == {("path_out_of_scope", "migrations/1.sql")}
    assert said({"migrations/1.sql": "x"}, {}, policy) == {("path_out_of_scope", "migrations/1.sql")}
    assert said({"migrations/1.sql": "x"}, {"migrations/1.sql": "x"}, policy) == set()


def test_the_policy_is_edited_by_people_alone() -> None:
    off = Policy(tamper_guards=Switches(False, False, False))
    for path in (
        ".runwright/policy.yaml",
        ".sentinelayer/policy.json",
        ".Runwright/Policy.yml",
        ".runwright/baseline.json",
    ):
        assert said({path: "a: 1"}, {path: "a: 2"}, off) == {("policy_edited", path)}
        assert said({path: "a: 1"}, {}, off) == {("policy_edited", path)}
        assert said({}, {path: "a: 1"}, off) == {("policy_edited", path)}


def test_a_patch_is_as_large_as_people_read() -> None:
    policy = Policy(tamper_guards=Switches(max_files=2, max_changed_lines=4))
    assert said({}, dict.fromkeys("abc", ""), policy) == {("too_many_files", "")}
    assert said({"a": "1\n2\n3\n"}, {"a": "4\n5\n"}, policy) == {("diff_too_large", "")}
    assert said({"a": "1\n2\n"}, {"a": "4\n5\n"}, policy) == set()
    assert said({"a": "1\n2\n"}, {"a": "4\n5\n", "b": ""}, policy, max_files=1, max_lines=3) == {
        ("too_many_files", ""),
        ("diff_too_large", ""),
    }


def test_no_file_that_is_no_text_is_changed() -> None:
    assert said({"a": b"\xff"}, {"a": "text"}) == {("binary_change", "a")}
    assert said({}, {"a": "\0"}) == {("binary_change", "a")}
    assert said({"a": b"text"}, {"a": "another"}) == set()
