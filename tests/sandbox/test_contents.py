"""What people read of a workspace: texts as far as there is room, and nothing of what is no workspace."""

from pathlib import Path

import pytest

from runwright.sandbox.contents import Contents, contents
from runwright.sandbox.snapshot import Limits, pack, survey

LIMITS = Limits(10, 50_000)


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    (tmp_path / "a.txt").write_text("Grüße")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "long.txt").write_text("x" * 20_000)
    (tmp_path / "run.sh").write_text("echo")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "to").symlink_to("a.txt")
    return pack(tmp_path, survey(tmp_path, LIMITS))


def test_everything_is_named_in_order_and_texts_are_shown(archive: bytes):
    found = contents(archive, LIMITS, 50_000)
    assert found.whole
    assert [(each.path, each.kind, each.bytes, each.text, each.to) for each in found.files] == [
        ("a.txt", "file", 7, "Grüße", None),
        ("binary", "file", 2, None, None),
        ("inner", "directory", 0, None, None),
        ("inner/long.txt", "file", 20_000, "x" * 20_000, None),
        ("run.sh", "program", 4, "echo", None),
        ("to", "link", 0, None, "a.txt"),
    ]


def test_where_there_is_no_room_a_file_is_named_without_its_text(archive: bytes):
    found = contents(archive, LIMITS, 900)
    assert not found.whole
    assert {each.path: each.text for each in found.files}["inner/long.txt"] is None
    assert {each.path: each.text for each in found.files}["run.sh"] == "echo"


@pytest.mark.parametrize("broken", [b"", b"no archive", "cut", "too large"])
def test_of_what_is_no_workspace_nothing_is_shown(archive: bytes, broken: bytes | str):
    given = broken if isinstance(broken, bytes) else archive[:-10] if broken == "cut" else archive
    limits = Limits(0, 100) if broken == "too large" else LIMITS
    assert contents(given, limits, 50_000) == Contents((), whole=False)
