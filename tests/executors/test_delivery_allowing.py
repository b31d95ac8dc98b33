"""What the policy of a base lets a commit change: each path that is another afterwards, however it came to that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runwright.domain.commit_plan import Lies, Onto, planned
from runwright.domain.git_objects import Leaf, digest
from runwright.domain.globs import Scope
from runwright.domain.policy_file import PolicyFile
from runwright.executors.delivery.allowing import policy_of, require_scope
from runwright.forges.port import Refused
from runwright.sandbox.checkout import Base
from tests.domain.test_commit_plan import terms

Changed = Mapping[str, bytes | tuple[str, bytes] | None]
"""What is another at a path: its content, with its kind where that is no file; None: it is gone."""
BASE = {"src/app.py": b"a = 1\n", "src/tool.sh": b"#!/bin/sh\n", ".github/ci.yml": b"on: push\n", "README.md": b"r\n"}
POLICY = PolicyFile(scope=Scope(allow=("src/**", "tests/**", "docs/**"), deny=("src/locked/**",)))


def held(changed: Changed, policy: PolicyFile = POLICY) -> None:
    """Hold a tree that is the base's but for these files to the scope of a policy."""
    leaves = {path.encode(): Leaf("100644", digest(b"blob", content, "sha1")) for path, content in BASE.items()}
    files: dict[str, tuple[str, bytes]] = {path: ("file", content) for path, content in BASE.items()}
    for path, content in changed.items():
        files.pop(path, None)
        if content is not None:
            files[path] = ("file", content) if isinstance(content, bytes) else content
    lies = [Lies(path, kind, content) for path, (kind, content) in sorted(files.items())]
    require_scope(policy, planned(terms(), Onto(leaves, frozenset(), None), lies).changes)


def told(changed: Changed) -> str:
    """Return what is said of a tree that may not be delivered."""
    with pytest.raises(Refused) as caught:
        held(changed)
    assert (caught.value.code, caught.value.retryable) == ("PATH_OUT_OF_SCOPE", False)
    return str(caught.value)


def test_what_lies_in_the_scope_may_be_changed_added_and_taken_away():
    held({"src/app.py": b"a = 2\n", "tests/test_app.py": b"", "src/tool.sh": None})
    held({"anything/at all": b"a policy without a scope keeps nothing as it is"}, PolicyFile())


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"README.md": b"changed\n"}, "README.md"),
        ({"setup.py": b"added\n"}, "setup.py"),
        ({".github/ci.yml": None}, ".github/ci.yml"),
        ({"src/locked/key": b"denied counts before allowed\n"}, "src/locked/key"),
        ({".github/ci.yml": None, "docs/ci.yml": BASE[".github/ci.yml"]}, ".github/ci.yml"),
        ({"src/app.py": None, "app.py": BASE["src/app.py"]}, "app.py"),
        ({"README.md": ("link", b"src/app.py")}, "README.md"),
        ({"link": ("link", b"src/app.py")}, "link"),
        ({"README.md": ("program", BASE["README.md"])}, "README.md"),
        ({"src/app.py": None, "src/tool.sh": None, "src": ("link", b"docs")}, "src"),
    ],
    ids=[
        "changed", "added", "deleted", "denied", "renamed from", "renamed to", "made a link", "new link",
        "made a program", "directory made a link",
    ],
)  # fmt: skip
def test_what_lies_out_of_the_scope_stays_as_it_is(changed: Changed, path: str):
    assert told(changed) == f"{path}: the policy does not let this path be changed"


def test_a_link_within_the_scope_may_be_made_wherever_it_leads():
    held({"src/link": ("link", b"../README.md")})


def test_of_several_paths_the_first_is_named_and_the_others_are_counted():
    assert told({"a": b"", "b": b"", "src/c": b""}) == "a (and 1 more): the policy does not let this path be changed"


def test_a_policy_of_the_base_that_is_none_lets_nothing_be_delivered(tmp_path: Path):
    (tmp_path / ".runwright").mkdir()
    (tmp_path / ".runwright" / "policy.yaml").write_text("approvals: {shove: {quorum: 2}}")
    with pytest.raises(Refused, match=r"policy\.yaml:1: approvals\.shove") as caught:
        policy_of(Base({}, frozenset(), None, ""), tmp_path)
    assert (caught.value.code, caught.value.retryable) == ("TOOL_FAILED", False)
    assert policy_of(None, None) == PolicyFile()


def test_a_policy_that_the_checkout_leaves_out_is_not_taken_for_one_that_is_not_there(tmp_path: Path):
    with pytest.raises(Refused, match=r"\(\.runwright/policy\.yml\) was not checked out"):
        policy_of(Base({}, frozenset({b".runwright/policy.yml"}), None, ""), tmp_path)
    assert policy_of(Base({}, frozenset({b"policy.yml"}), None, ""), tmp_path) == PolicyFile()
