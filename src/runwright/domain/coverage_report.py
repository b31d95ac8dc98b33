"""How much of the code tests ran through, as the reports of coverage programs tell it: Cobertura XML, JSON, lcov.

Whoever writes the report is judged by it, so nothing of it is believed but its numbers, and those are bounded; XML is
read for two attributes of its first element, and never expanded.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

Format = Literal["auto", "cobertura", "json", "lcov"]
REPORT_MAX_BYTES = 64 << 20
_ROOT = re.compile(rb"<coverage\b([^<>]{0,4000})>")
_ATTRIBUTE = re.compile(rb"\s(line-rate|lines-valid|lines-covered)\s*=\s*[\"']([0-9.eE+-]{1,30})[\"']")
_LCOV = re.compile(rb"^(LF|LH):([0-9]{1,12})\s*$", re.MULTILINE)


class _Totals(msgspec.Struct):
    percent_covered: float | None = None
    num_statements: int | None = None
    covered_lines: int | None = None


class _Json(msgspec.Struct):
    totals: _Totals


class NoCoverage(Exception):
    """Say why a report tells nothing."""


def line_coverage(report: bytes, name: str, form: Format = "auto") -> float:
    """Return the share of lines that were run, 0 to 1. Raises `NoCoverage`."""
    form = _form(report, name) if form == "auto" else form
    read = {"cobertura": _cobertura, "json": _json, "lcov": _lcov}[form]
    try:
        share = read(report)
    except ValueError as wrong:
        raise NoCoverage(f"{name} tells no number: {wrong}") from None
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise NoCoverage(f"{name} tells a share that is none ({share:g})")
    return share


def _form(report: bytes, name: str) -> Literal["cobertura", "json", "lcov"]:
    begin = report[:100].lstrip()
    if name.endswith(".xml") or begin.startswith(b"<"):
        return "cobertura"
    return "json" if name.endswith(".json") or begin.startswith(b"{") else "lcov"


def _cobertura(report: bytes) -> float:
    root = _ROOT.search(report[:100_000])
    said = {} if root is None else {name: float(value) for name, value in _ATTRIBUTE.findall(b" " + root[1])}
    if b"lines-valid" in said and b"lines-covered" in said:
        return _share(said[b"lines-covered"], said[b"lines-valid"])
    if b"line-rate" not in said:
        raise NoCoverage("it is no Cobertura report: it has no <coverage line-rate=…>")
    return said[b"line-rate"]


def _json(report: bytes) -> float:
    try:
        totals = msgspec.json.decode(report, type=_Json).totals
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise NoCoverage(f"it is no report of coverage.py: {wrong}") from None
    if totals.covered_lines is not None and totals.num_statements is not None:
        return _share(totals.covered_lines, totals.num_statements)
    if totals.percent_covered is None:
        raise NoCoverage("it has no totals.percent_covered")
    return totals.percent_covered / 100


def _lcov(report: bytes) -> float:
    found = hit = 0
    for kind, count in _LCOV.findall(report):
        if kind == b"LF":
            found += int(count)
        else:
            hit += int(count)
    if not found:
        raise NoCoverage("it is no lcov report: it counts no lines (LF:)")
    return _share(hit, found)


def _share(covered: float, lines: float) -> float:
    if lines <= 0:
        raise NoCoverage("it counts no lines at all")
    return covered / lines
