"""The audit of dependencies against local advisories: findings, what is told of what could not be looked up."""

import os
import zipfile
from pathlib import Path

import msgspec
import pytest

from runwright.scanners.advisories import NoSource, Shelf, given
from runwright.scanners.dependencies import Dependencies, Source
from tests.domain.test_osv import CRITICAL, record
from tests.scanners.ground import Tree, told

FLASK = record(
    "PyPI", "flask", {"introduced": "0"}, {"fixed": "2.2.5"}, id="PYSEC-2023-62", aliases=["CVE-2023-30861"],
    summary="A cookie is cached",
)  # fmt: skip
SAME = record(
    "PyPI", "Flask", {"introduced": "0"}, {"fixed": "2.2.5"}, id="GHSA-m2qf", aliases=["CVE-2023-30861"],
    severity=[{"type": "CVSS_V3", "score": CRITICAL}],
)  # fmt: skip
LODASH = record("npm", "lodash", {"introduced": "0"}, {"fixed": "4.17.21"}, id="GHSA-35jh")
RECORDS = {"PyPI/a.json": FLASK, "PyPI/b.json": SAME, "npm/c.json": LODASH}
LOCK = '{"lockfileVersion": 3, "packages": {\n"node_modules/lodash": {"version": "4.17.20"}}}\n'


def source(tmp_path: Path, kind: str, records: dict[str, bytes] = RECORDS) -> Source:
    """Lay records as a directory, a zip or a file."""
    there = tmp_path / "osv"
    if kind == "directory":
        for name, data in records.items():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(there, "w") as archive:
            for name, data in records.items():
                archive.writestr(name, data)
    else:
        there.write_bytes(b"[" + b",".join(records.values()) + b"]")
    return Shelf(there).advisories


@pytest.mark.parametrize("kind", ["directory", "zip", "file"])
async def test_what_a_lock_pins_is_looked_up_and_two_databases_make_one_finding(tree: Tree, tmp_path: Path, kind: str):
    tree.write(
        {
            "requirements.txt": "# web\nflask==2.0.1\n",
            "web/package-lock.json": LOCK,
            "b/requirements.txt": "flask==2.3\n",
        }
    )
    seen = await tree.look(Dependencies(source(tmp_path, kind)))
    assert told(seen, "dependencies") == [
        ("P0", "dependencies:CVE-2023-30861", "requirements.txt", 2),
        ("P2", "dependencies:GHSA-35jh", "web/package-lock.json", 2),
    ]
    flask = next(each for each in seen.findings if "CVE" in each.rule_id)
    assert flask.message == "flask 2.0.1: A cookie is cached; fixed in 2.2.5"
    assert (flask.symbol, flask.content_key) == ("flask", "")
    report = seen.reports[2]
    assert (report.status, report.files, report.reason) == ("completed", 3, None)


async def test_a_finding_keeps_its_name_when_the_lock_moves_and_the_version_changes(tree: Tree, tmp_path: Path):
    look = Dependencies(source(tmp_path, "file"))
    tree.write({"requirements.txt": "flask==2.0.1\n"})
    (before,) = (await tree.look(look)).findings
    tree.write({"requirements.txt": "a==1\n\nflask==2.1.0\n"})
    (after,) = (await tree.look(look)).findings
    assert (after.fingerprint, after.line) == (before.fingerprint, 3)


async def test_without_a_source_nothing_was_looked_up_and_that_is_told(tree: Tree, tmp_path: Path):
    tree.write({"requirements.txt": "flask==2.0.1\n"})
    report = (await tree.look(Dependencies(None))).reports[2]
    assert report.status == "not_run"
    assert "RUNWRIGHT_SCAN_ADVISORIES" in str(report.reason)
    for there in (tmp_path / "none", tmp_path):
        report = (await tree.look(Dependencies(Shelf(there).advisories))).reports[2]
        assert (report.status, report.files) == ("not_run", 0)
    wrong = given({"osv.json": b"{"})
    assert (await tree.look(Dependencies(lambda: wrong))).reports[2].status == "not_run"


async def test_a_tree_without_dependencies_needs_no_source(tree: Tree):
    tree.write({"a.py": "x = 1\n"})
    assert (await tree.look(Dependencies(None))).reports[2].status == "completed"


async def test_what_could_not_be_looked_up_is_counted(tree: Tree, tmp_path: Path):
    tree.write(
        {
            "requirements.txt": "flask>=2\nodd===not-a-version\n",
            "uv.lock": "[",
            "pyproject.toml": '[project]\ndependencies = ["a"]\n',
        }
    )
    records = RECORDS | {"PyPI/broken.json": b"{"}
    report = (await tree.look(Dependencies(source(tmp_path, "directory", records)))).reports[2]
    assert report.status == "partial"
    assert report.reason == (
        "1 packages are not pinned to a version; 1 files could not be read; "
        "1 versions are none that can be compared; 1 advisories could not be read"
    )


async def test_a_lock_too_large_for_other_scanners_is_read(tree: Tree, tmp_path: Path):
    tree.write({"package-lock.json": LOCK + " " * (2 << 20)})
    seen = await tree.look(Dependencies(source(tmp_path, "file")))
    assert seen.inventory.skipped_by == {"too_large": 1}
    assert [rule for _, rule, _, _ in told(seen, "dependencies")] == ["dependencies:GHSA-35jh"]


def test_a_source_that_changes_is_looked_through_again(tmp_path: Path):
    shelf = Shelf(tmp_path / "osv")
    (tmp_path / "osv").write_bytes(FLASK)
    first = shelf.advisories()
    assert shelf.advisories() is first
    (tmp_path / "osv").write_bytes(b"[" + FLASK + b"," + LODASH + b"]")
    os.utime(tmp_path / "osv", (1, 1))
    assert set(shelf.advisories().index.records) == {("PyPI", "flask"), ("npm", "lodash")}
    (tmp_path / "osv").unlink()
    with pytest.raises(NoSource):
        shelf.advisories()


def test_records_of_other_ecosystems_are_none_of_ours():
    both = msgspec.json.decode(FLASK)
    both["affected"].append({"package": {"ecosystem": "Debian:12", "name": "flask"}})
    index = given({"a": msgspec.json.encode(both), "b": record("Go", "x")}).index
    assert (set(index.records), index.total, index.unreadable) == ({("PyPI", "flask")}, 2, 0)
