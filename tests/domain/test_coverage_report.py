"""Reports of coverage: what they say, whoever wrote them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.coverage_report import NoCoverage, line_coverage

XML = b'<?xml version="1.0" ?>\n<coverage version="7" lines-valid="200" lines-covered="150" line-rate="0.1">'
JSON = b'{"meta": {}, "totals": {"covered_lines": 30, "num_statements": 40, "percent_covered": 1.0}}'
LCOV = b"TN:\nSF:a.py\nLF:10\nLH:5\nend_of_record\nSF:b.py\nLF:30\nLH:25\nend_of_record\n"


def test_the_three_forms_are_read() -> None:
    assert line_coverage(XML, "coverage.xml") == 0.75
    assert line_coverage(XML, "report", "cobertura") == 0.75
    assert line_coverage(b'<coverage line-rate="0.5">', "c") == 0.5
    assert line_coverage(JSON, "coverage.json") == 0.75
    assert line_coverage(b'{"totals": {"percent_covered": 80}}', "c.json") == 0.8
    assert line_coverage(LCOV, "lcov.info") == 0.75


@pytest.mark.parametrize(
    ("report", "name"),
    [
        (b"", "coverage.xml"),
        (b"<html>", "coverage.xml"),
        (b'<coverage line-rate="1.5">', "coverage.xml"),
        (b'<coverage line-rate="1e9e9">', "coverage.xml"),
        (b'<coverage lines-valid="0" lines-covered="0">', "coverage.xml"),
        (b"{}", "coverage.json"),
        (b'{"totals": {}}', "coverage.json"),
        (b'{"totals": {"percent_covered": 1e400}}', "coverage.json"),
        (b"[" * 100_000, "coverage.json"),
        (b"SF:a\n", "lcov.info"),
        (b"LF:10\nLH:11\n", "lcov.info"),
    ],
)
def test_what_tells_no_share_is_refused(report: bytes, name: str) -> None:
    with pytest.raises(NoCoverage):
        line_coverage(report, name)


def test_entities_are_never_expanded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "yyyyyyyy"><!ENTITY z "&x;&x;&x;&x;">]><coverage line-rate="&z;">'
    with pytest.raises(NoCoverage):
        line_coverage(bomb, "coverage.xml")


@given(st.binary(max_size=300), st.sampled_from(["c.xml", "c.json", "c.info"]))
def test_whatever_it_holds_it_is_a_share_or_refused(report: bytes, name: str) -> None:
    try:
        share = line_coverage(report, name)
    except NoCoverage:
        return
    assert 0 <= share <= 1
