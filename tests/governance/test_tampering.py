"""Whatever is done to a bundle is found by both verifiers, and what it was done to is named."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from runwright.domain.evidence import (
    PROFILES,
    STATEMENT_TYPE,
    TreeHead,
    document,
    envelope,
    signed_bytes,
    signed_head,
    statement,
)
from runwright.governance.verifier import verify as installed
from runwright.governance.verifier.archive import CENTRAL, LOCAL
from runwright.governance.verifier.log import events_of, name_broken_links, name_changes, walk
from runwright.governance.verifier.report import Report
from tests.domain.specimens import History, log_line
from tests.governance.bundles import bundle, files_of, head_of, lived, signer, zipped

FULL, AUDITOR, PUBLIC = (bundle(lived(), profile) for profile in PROFILES)
FILES = files_of(FULL)
FRONT = ["manifest.json", "attestations/run.dsse.json"]
TIMELINE = FILES["timeline.ndjson"]
LINES = TIMELINE.splitlines(keepends=True)
END = "the end of the archive"

Files = list[tuple[str, bytes]]


class Verifiers:
    """The verifier that is installed, and the copy that lies in a bundle: asked about the same bytes."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "bundle.zip"
        script = directory / "verify.py"
        script.write_bytes(FILES["verify.py"])
        found = importlib.util.spec_from_file_location("shipped", script)
        assert found is not None
        assert found.loader is not None
        self._shipped: Any = importlib.util.module_from_spec(found)
        found.loader.exec_module(self._shipped)

    def objects(self, data: bytes) -> list[tuple[str, str]]:
        """Return what is named, and what was done to it, of which both say the same; it is not signed as it was."""
        self._path.write_bytes(data)
        answers = []
        for verifier in (installed, self._shipped):
            try:
                report = verifier.verify(str(self._path), signer().key_id)
            except verifier.NotABundle:
                answers.append([("nothing", "to verify")])
            else:
                assert (report.code == 0) is (not report.problems)
                answers.append([(each.object, each.what) for each in report.problems])
        assert answers[0] == answers[1]
        return answers[0]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Verifiers:
    return Verifiers(tmp_path_factory.mktemp("verifiers"))


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edit(files: Files, place: int) -> Files:
    name, data = files[place]
    return [*files[:place], (name, changed(data, len(data) // 2)), *files[place + 1 :]]


def drop(files: Files, place: int) -> Files:
    return files[:place] + files[place + 1 :]


def truncate(files: Files, place: int) -> Files:
    name, data = files[place]
    return [*files[:place], (name, data[:-3]), *files[place + 1 :]]


def extend(files: Files, place: int) -> Files:
    name, data = files[place]
    return [*files[:place], (name, data + b"{}\n"), *files[place + 1 :]]


def move(files: Files, place: int) -> Files:
    rest = files[:place] + files[place + 1 :]
    return [*rest[: place + 1], files[place], *rest[place + 1 :]] if place < len(rest) else [files[place], *rest]


def repeat(files: Files, place: int) -> Files:
    return [*files, files[place]]


def rename(files: Files, place: int) -> Files:
    return [*files[:place], ("x" + files[place][0][1:], files[place][1]), *files[place + 1 :]]


KINDS: dict[str, tuple[Callable[[Files, int], Files], set[str]]] = {
    "edited": (edit, {"edited"}),
    "dropped": (drop, {"dropped"}),
    "truncated": (truncate, {"truncated", "edited", "dropped"}),
    "longer": (extend, {"edited", "added"}),
    "reordered": (move, {"reordered", "dropped", "edited"}),
    "there twice": (repeat, {"added"}),
    "renamed": (rename, {"edited", "dropped"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_scenario_3_each_kind_of_change_of_each_file_is_named(both: Verifiers, kind: str, name: str):
    change, words = KINDS[kind]
    files = list(FILES.items())
    place = [each for each, _ in files].index(name)
    found = both.objects(zipped(change(files, place)))
    following = files[place + 1][0] if place + 1 < len(files) else files[0][0]
    about = {name} | ({following} if kind == "reordered" else set())
    assert found, "nothing was found"
    if found != [("nothing", "to verify")]:
        named = [(what, where) for where, what in found if where.startswith(tuple(about))]
        assert named, found
        assert named[0][0] in words, found
        others = {where for where, _ in found if not where.startswith((*about, *FRONT))}
        assert not others or place + 1 == len(files), found


@pytest.mark.parametrize("place", range(len(LINES)))
@pytest.mark.parametrize("kind", ["edited", "dropped", "there twice", "reordered", "truncated", "made up"])
def test_scenario_3_each_kind_of_change_of_each_event_is_named(both: Verifiers, kind: str, place: int):
    lines, seq = list(LINES), place + 1
    if kind == "edited":
        lines[place] = changed(lines[place], lines[place].index(b'"data":') + 8 if b'"data":' in lines[place] else 120)
    elif kind == "dropped":
        del lines[place]
    elif kind == "there twice":
        lines.insert(place, lines[place])
    elif kind == "reordered":
        if place + 1 == len(lines):
            place, seq = place - 1, seq - 1
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    elif kind == "truncated":
        del lines[place + 1 :]
        lines[place] = lines[place][:-5]
    else:
        lines.insert(place, lines[place].replace(b'{"seq":%d' % seq, b'{"seq":%d' % 99))
        seq = 99
    found = both.objects(zipped({**FILES, "timeline.ndjson": b"".join(lines)}))
    what = {"there twice": "added", "made up": "added"}.get(kind, kind)
    assert (f"timeline.ndjson event {seq}", what) in found
    assert all(where.startswith("timeline.ndjson event") for where, _ in found)


def test_every_byte_of_the_log_belongs_to_an_event_that_is_named_when_it_changes():
    manifest = json.loads(FILES["manifest.json"])
    run_id, genesis = manifest["log"]["run_id"], manifest["log"]["genesis"]
    at = 0
    for seq, line in enumerate(LINES, 1):
        for place in range(at, at + len(line)):
            lines = changed(TIMELINE, place).splitlines(keepends=True)
            assert walk(lines, run_id, genesis, ()) is None, (seq, place)
            report = Report()
            found = list(events_of(lines, run_id, report))
            name_changes(found, "event", range(1, len(LINES) + 1), report)
            name_broken_links(found, "event", genesis, report)
            assert report.problems, (seq, place)
            named = {each.object for each in report.problems}
            # What ends a line, or makes a number another, changes two.
            assert {f"event {seq}"} & named or place == at + len(line) - 1, (seq, place, line[place - at :][:20], named)
        at += len(line)


def test_the_end_of_the_log_that_is_missing_is_named(both: Verifiers):
    found = both.objects(zipped({**FILES, "timeline.ndjson": b"".join(LINES[:-2])}))
    assert found == [(f"timeline.ndjson event {len(LINES) - 1} to {len(LINES)}", "dropped")]


def test_a_log_that_was_written_anew_is_not_the_one_that_was_signed(both: Verifiers):
    other = files_of(bundle(lived(ended=False)))
    found = both.objects(
        zipped({**FILES, "timeline.ndjson": other["timeline.ndjson"], "chain.json": other["chain.json"]})
    )
    assert ("chain.json", "edited") in found


def test_a_log_that_was_chained_anew_from_a_changed_event_on_is_not_the_one_that_was_signed(tmp_path: Path):
    history = lived()
    files = files_of(bundle(history))
    history.events[2:] = []
    history.run = replace(history.standing, seq=2, hash=history.events[-1].hash)
    again = json.loads(files["timeline.ndjson"].splitlines()[2])["message"] + "!"
    other = files_of(bundle(relived(history, again, len(LINES)), earlier=0))
    assert other["timeline.ndjson"].splitlines()[:2] == files["timeline.ndjson"].splitlines()[:2]
    path = tmp_path / "b.zip"
    path.write_bytes(zipped({**files, "timeline.ndjson": other["timeline.ndjson"]}))
    found = installed.verify(str(path), signer().key_id).problems
    assert [(each.object, each.what, each.detail) for each in found] == [
        ("timeline.ndjson", "edited", "it was written anew: this is not the log that was signed")
    ]


def relived(history: History, message: str, size: int) -> History:
    """Go on with a log in another way, up to as many events as it had."""
    lines = tuple(log_line(message) for _ in range(size - len(history.events)))
    history.run = history._append(history.standing, lines)
    return history


def test_a_bundle_that_another_key_signed_is_whole_and_not_ours(tmp_path: Path):
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(lived(), by=signer(7)))
    report = installed.verify(str(path), signer().key_id)
    assert (report.problems, report.signer, report.pinned, report.code) == ([], signer(7).key_id, False, 1)


def test_a_log_whose_beginning_is_not_what_was_signed_earlier_is_found(tmp_path: Path):
    history, by = lived(), signer()
    other = TreeHead("00" * 32, "11" * 32, history.standing.run_id, 5, 2)
    signature = by.sign(signed_head(other)).hex()
    head = {"size": 2, "root": other.root, "head": other.head, "signed_at": 5, "key_id": by.key_id}
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(history, heads=[{**head, "signature": signature}]))
    found = installed.verify(str(path), by.key_id).problems
    assert [(each.object, each.what, each.detail) for each in found] == [
        ("timeline.ndjson", "edited", "its first 2 events are not those that were signed")
    ]


@pytest.mark.parametrize("name", [name for name in FILES if name not in FRONT])
def test_a_file_that_is_changed_together_with_the_manifest_is_not_what_was_signed(both: Verifiers, name: str):
    """Whoever can write a good manifest still lacks the key."""
    files = dict(FILES)
    files[name] = changed(files[name], len(files[name]) - 4)
    manifest = json.loads(files["manifest.json"])
    for each in manifest["files"]:
        if each["name"] == name:
            each["sha256"] = sha256(files[name]).hexdigest()
    files["manifest.json"] = document(manifest)
    assert ("manifest.json", "edited") in both.objects(zipped(files))


def test_a_manifest_with_another_key_and_its_signature_is_not_signed_by_the_key_that_is_pinned(tmp_path: Path):
    """The whole bundle made anew by somebody else is whole, and says who made it."""
    files, other = dict(FILES), signer(8)
    manifest = json.loads(files["manifest.json"])
    manifest["keys"].append(
        {"key_id": other.key_id, "public_key": other.keys[0].public_key.hex(), "since": 1, "until": 2}
    )
    files["manifest.json"] = document(manifest)
    payload = statement({"manifest.json": sha256(files["manifest.json"]).hexdigest()}, {})
    files["attestations/run.dsse.json"] = envelope(
        payload, other.key_id, other.sign(signed_bytes(STATEMENT_TYPE, payload))
    )
    path = tmp_path / "b.zip"
    path.write_bytes(zipped(files))
    report = installed.verify(str(path), signer().key_id)
    assert (report.problems, report.signer, report.code) == ([], other.key_id, 1)


@pytest.mark.parametrize("field", ["size", "root", "head", "signed_at", "signature", "key_id"])
def test_a_head_that_was_not_signed_so_is_found_although_all_else_is_signed(tmp_path: Path, field: str):
    history, by = lived(), signer()
    head = asdict(head_of(history, 3, by))
    altered = {"size": 4, "signed_at": 7, "key_id": signer(9).key_id}.get(
        field, "00" * (64 if field == "signature" else 32)
    )
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(history, earlier=0, heads=[head | {field: altered}]))
    report = installed.verify(str(path), by.key_id)
    assert ("chain.json", "edited") in [(each.object, each.what) for each in report.problems]


def test_heads_that_an_old_key_signed_go_on_being_verified_with_it(tmp_path: Path):
    old, new = signer(1), signer(1, 2)
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(lived(), by=new, old=old))
    assert [key["key_id"] for key in json.loads(files_of(path.read_bytes())["manifest.json"])["keys"]] == [
        old.key_id,
        new.key_id,
    ]
    assert installed.verify(str(path), new.key_id).code == 0
    assert installed.verify(str(path), old.key_id).code == 1


@pytest.mark.parametrize("numbers", [[0], [1], [2]])
def test_each_audit_entry_that_is_changed_or_missing_is_named(both: Verifiers, numbers: list[int]):
    lines = FILES["audit.ndjson"].splitlines(keepends=True)
    (place,) = numbers
    number = json.loads(lines[place])["number"]
    for at in range(0, len(lines[place]) - 1, 29):
        altered = [*lines[:place], changed(lines[place], at), *lines[place + 1 :]]
        found = both.objects(zipped({**FILES, "audit.ndjson": b"".join(altered)}))
        assert found, at
        assert all(where.startswith("audit.ndjson entry") for where, _ in found), (at, found)
    missing = zipped({**FILES, "audit.ndjson": b"".join(lines[:place] + lines[place + 1 :])})
    assert both.objects(missing) == [(f"audit.ndjson entry {number}", "dropped")]


def regions(data: bytes) -> list[tuple[str, int, int]]:
    """Return what each stretch of an archive is of: a file's header and bytes, its entry in the directory, the end."""
    found, at = [], 0
    files = files_of(data)
    for name, content in files.items():
        size = LOCAL.size + len(name) + len(content)
        found.append((name, at, at + size))
        at += size
    for name in files:
        found.append((name, at, at + CENTRAL.size + len(name)))
        at += CENTRAL.size + len(name)
    return [*found, (END, at, len(data))]


def chosen(data: bytes, region: int, place: int) -> tuple[str, int]:
    """Return one of the regions, and a place in it."""
    found = regions(data)
    name, start, stop = found[region % len(found)]
    return name, start + place % (stop - start)


def about(data: bytes, at: int) -> str:
    return next(name for name, start, stop in regions(data) if start <= at < stop)


@settings(max_examples=50, deadline=None)
@given(region=st.integers(0, 60), place=st.integers(0, 40_000), bit=st.integers(0, 7), which=st.integers(0, 2))
def test_any_byte_that_is_changed_is_found_and_its_object_named(both, region: int, place: int, bit: int, which: int):
    of = (FULL, AUDITOR, PUBLIC)[which]
    name, at = chosen(of, region, place)
    altered = of[:at] + bytes([of[at] ^ (1 << bit)]) + of[at + 1 :]
    found = both.objects(altered)
    assert found
    assert found == [("nothing", "to verify")] or any(where.startswith(name) for where, _ in found), (at, name, found)


@settings(max_examples=25, deadline=None)
@given(region=st.integers(0, 60), place=st.integers(0, 40_000), more=st.binary(max_size=8), less=st.integers(0, 8))
def test_bytes_that_are_cut_out_or_put_in_are_found(both, region: int, place: int, more: bytes, less: int):
    name, at = chosen(FULL, region, place)
    altered = FULL[:at] + more + FULL[at + less :]
    if altered != FULL:
        assert both.objects(altered), (name, at)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(0, len(FULL) - 1))
@example(size=FULL.index(b"attestations/run.dsse.json") + 3)
def test_an_archive_that_ends_early_says_where(both: Verifiers, size: int):
    found = both.objects(FULL[:size])
    assert found == [("nothing", "to verify")] if size == 0 else found
    name = about(FULL, size)
    assert size < 100 or any(where.startswith(name) or name == END for where, _ in found), (name, found)


def test_what_is_put_behind_the_end_is_found(both: Verifiers):
    assert both.objects(FULL + b"\0") == [(END, "added")]
