"""Advisories: which versions they are about, in either ecosystem, and how grave they are."""

from typing import Any

import msgspec
import pytest

from runwright.domain.osv import (
    Unreadable,
    about,
    affects,
    fixed_in,
    known_version,
    package,
    read_advisory,
    rule_of,
    severity_of,
)

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
SEVERE = {"type": "CVSS_V3", "score": CRITICAL}
TWICE = [{"introduced": "1"}, {"fixed": "1.2"}, {"introduced": "2"}, {"fixed": "2.1"}]
NEWEST = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
MEDIUM = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N"


def record(ecosystem: str = "PyPI", name: str = "Flask", *events: dict[str, str], **more: Any) -> bytes:
    """Return a record as osv.dev writes them."""
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": kind, "events": events}]}
    affected |= more.pop("affected", {})
    return msgspec.json.encode({"schema_version": "1.7.0", "id": "GHSA-1", "affected": [affected], **more})


@pytest.mark.parametrize(
    ("ecosystem", "events", "inside", "outside"),
    [
        ("PyPI", [{"introduced": "0"}, {"fixed": "2.0"}], ["0.1", "1.9.9", "2.0rc1"], ["2.0", "2.0.post1", "3"]),
        ("PyPI", [{"introduced": "1.0"}, {"last_affected": "1.5"}], ["1.0", "1.5", "1.5.0"], ["0.9", "1.5.1"]),
        ("PyPI", TWICE, ["1.1", "2.0"], ["1.2", "1.9", "2.1"]),
        ("PyPI", TWICE[::-1], ["1.1", "2.0"], ["1.2", "1.9", "2.1"]),
        ("PyPI", [{"introduced": "1!0"}], ["1!1.0"], ["9.0"]),
        ("PyPI", [{"introduced": "0"}], ["1"], ["not a version"]),
        ("npm", [{"introduced": "0"}, {"fixed": "1.10.0"}], ["1.9.0", "1.10.0-beta.1"], ["1.10.0", "1.10.1"]),
        ("npm", [{"introduced": "2.0.0-alpha"}, {"fixed": "2.0.0"}], ["2.0.0-alpha.1"], ["2.0.0", "1.0.0"]),
    ],
)  # fmt: skip
def test_a_version_is_affected_between_where_it_begins_and_where_it_ends(
    ecosystem: str, events: list[dict[str, str]], inside: list[str], outside: list[str]
):
    advisory, whom = read_advisory(record(ecosystem, "pkg", *events)), package(ecosystem, "pkg")
    assert [version for version in inside if not affects(advisory, whom, version)] == []
    assert [version for version in outside if affects(advisory, whom, version)] == []


def test_versions_that_are_listed_are_affected_whatever_ranges_say():
    advisory = read_advisory(record(affected={"versions": ["1.0", "legacy"], "ranges": []}))
    whom = package("PyPI", "flask")
    assert affects(advisory, whom, "1.0.0")
    assert affects(advisory, whom, "legacy")
    assert not affects(advisory, whom, "1.1")


def test_names_are_compared_as_their_ecosystem_compares_them():
    advisory = read_advisory(record("PyPI", "Ruamel.YAML", {"introduced": "0"}))
    assert affects(advisory, package("PyPI", "ruamel_yaml"), "1")
    assert about(record("npm", "@scope/Pkg")) == {("npm", "@scope/Pkg")}
    assert package("npm", "Left-Pad") != package("npm", "left-pad")
    assert about(record("Go", "x")) == set()


def test_a_record_that_was_withdrawn_is_about_nobody():
    advisory = read_advisory(record("PyPI", "a", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"))
    assert not affects(advisory, package("PyPI", "a"), "1")


def test_the_next_version_in_which_it_is_fixed_is_told():
    advisory = read_advisory(
        record("PyPI", "a", {"introduced": "0"}, {"fixed": "1.10"}, {"introduced": "2"}, {"fixed": "2.2"})
    )
    whom = package("PyPI", "a")
    assert [fixed_in(advisory, whom, version) for version in ("1.9", "2.0", "3.0", "?")] == ["1.10", "2.2", None, None]


@pytest.mark.parametrize(
    ("more", "ours"),
    [
        ({"severity": [SEVERE]}, "P0"),
        ({"severity": [{"type": "CVSS_V3", "score": MEDIUM}]}, "P2"),
        ({"severity": [{"type": "CVSS_V4", "score": NEWEST}]}, "P0"),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, "P1"),
        ({"severity": [{"type": "CVSS_V3", "score": "nonsense"}], "database_specific": {"severity": "LOW"}}, "P3"),
        ({"database_specific": {"severity": "MODERATE"}}, "P2"),
        ({"database_specific": {"severity": 3}}, "P2"),
        ({}, "P2"),
        ({"affected": {"severity": [SEVERE]}, "severity": [{"type": "CVSS_V3", "score": MEDIUM}]}, "P0"),
    ],
)  # fmt: skip
def test_how_grave_it_is_comes_from_scores_then_from_words_then_is_p2(more: dict[str, Any], ours: str):
    assert severity_of(read_advisory(record(**more)), package("PyPI", "flask")) == ours


def test_most_people_know_it_by_its_cve():
    assert rule_of(["PYSEC-1", "GHSA-x", "CVE-2026-2", "CVE-2026-1"]) == "CVE-2026-1"
    assert rule_of(["PYSEC-1", "GHSA-x"]) == "GHSA-x"
    assert rule_of(["PYSEC-2"]) == "PYSEC-2"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"affected": 3}', b"[" * 100_000])
def test_what_is_no_record_is_told(data: bytes):
    for read in (about, read_advisory):
        with pytest.raises(Unreadable):
            read(data)


def test_only_versions_that_can_be_compared_are_known():
    assert [known_version("PyPI", text) for text in ("1.0", "1!2.0.post1", "x")] == [True, True, False]
    assert [known_version("npm", text) for text in ("1.0.0", "1.0.0-rc.1+b", "git+ssh://x")] == [True, True, False]
