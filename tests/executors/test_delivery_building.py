"""What people are shown of a commit: its diff and its files, within the bounds of an approval, and nothing poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.approval import SUBJECT_MAX_BYTES, ask
from runwright.domain.commit_plan import NOWHERE, Lies, Onto, planned
from runwright.domain.delivery_terms import PullRequestTerms
from runwright.domain.git_objects import Leaf, digest
from runwright.domain.redaction import Redactor
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.executors.delivery.building import Built, _diff, asks, within
from tests.domain.test_commit_plan import terms


def asked(files: list[Lies], onto: Onto = NOWHERE, place: Path | None = None, **given: Any) -> dict[str, Any]:
    """Return the subject of what people are asked, as the log keeps it."""
    delivery = terms(**given)
    plan = planned(delivery, onto, files)
    built = Built(plan, "".join(_diff(plan, place)))
    runtime = RuntimeTerms(mode="edit_gated", repo="/srv/r", delivery=delivery)
    return ask(asks(runtime, built, 60), Redactor(), "apr_1").subject


def test_a_diff_tells_what_was_added_changed_and_deleted(tmp_path: Path):
    (tmp_path / "a").write_text("one\ntwo\n")
    (tmp_path / "b").write_text("gone")
    leaves = {
        name.encode(): Leaf("100644", digest(b"blob", (tmp_path / name).read_bytes(), "sha1")) for name in ("a", "b")
    }
    files = [Lies("a", "file", b"one\n2\x0c\n"), Lies("c", "program", b"\xff")]
    subject = asked(files, Onto(leaves, frozenset(), None), tmp_path)
    lines = subject["diff"].split("\n")
    told = [line for line in lines if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
    assert told == ["-two", "+2\x0c", "-gone"]
    assert "added c (100755)\nno text: 0 bytes before, 1 after\n" in subject["diff"]
    assert subject["stats"] == {"added": 1, "changed": 1, "deleted": 1}


def test_a_name_cannot_pose_as_a_line_of_the_diff():
    subject = asked([Lies("a\n+b: harmless", "file", b"x\n")])
    assert "\n+b" not in subject["diff"]
    assert r"a\x0a+b: harmless" in subject["diff"]


def test_whatever_changes_people_can_be_asked_about_it_and_the_digest_is_of_all_of_it():
    above = "ü" * 100 + "/" + "\x01" * 60
    many = [Lies(f"{above}{count}", "file", b"\x01" * 1000) for count in range(1500)]
    opens = PullRequestTerms(title="t", body="\x01" * 32_768)
    subject = asked(many, actions=("commit", "push", "open_pr"), pull_request=opens)
    assert len(msgspec.json.encode(subject)) <= SUBJECT_MAX_BYTES
    assert subject["files_left_out"] + len(subject["files"]) == 1500
    assert "more files change" in subject["diff"]
    other = asked([*many[:-1], many[-1]._replace(content=b"2")], actions=("commit", "push", "open_pr"))
    assert other["sha256"] != subject["sha256"]


@settings(deadline=None)
@given(text=st.text(max_size=300), most=st.integers(2, 400))
def test_a_text_is_cut_to_what_it_takes_as_json(text: str, most: int):
    kept = within(text, most)
    assert text.startswith(kept)
    assert len(msgspec.json.encode(kept)) <= most
