"""Baselines: what was known is known again wherever it went, what is new is new, what came back is told."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.baseline import Baseline, Compared, compare, read_baseline, renewed, written
from runwright.domain.finding import Finding, Match, findings, symbol, window
from runwright.errors import PolicyInvalid

CODE = """import os

LIMIT = 3


def load(name):
    path = os.path.join("/srv", name)
    command = "cat " + path
    os.system(command)
    return path


def other():
    return LIMIT
"""


def look(*files: tuple[str, str], mark: str = "os.system(") -> list[Finding]:
    """Return a finding for each line with a mark, as scanners describe it."""
    found: list[Match] = []
    for file, text in files:
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if mark in line:
                around, inside = window(lines, number, number), symbol(lines, number)
                found.append(
                    Match(
                        rule_id="bandit:B605", severity="P1", message="a shell", tool="bandit", file=file, line=number,
                        window=around, symbol=inside,
                    )
                )  # fmt: skip
    return findings(found)


def baseline_of(*files: tuple[str, str]) -> Baseline:
    """Return the baseline of these files."""
    return renewed(compare(look(*files), Baseline()))


def states(compared: Compared) -> list[str]:
    """Return the states of what was found."""
    return [each.baseline_state for each in compared.findings]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "# a line\n" * 50 + text,
        lambda text: text.replace("    ", "\t"),
        lambda text: text.replace("    ", "        "),
        lambda text: text.replace('"/srv"', '"/opt/else"'),
        lambda text: text.replace(
            '    command = "cat " + path\n', '    command = "cat " + path\n    print(1)\n    x = 2\n'
        ),
    ],
    ids=["50 lines above", "tabs", "indented deeper", "another literal", "other neighbours"],
)
def test_scenario_8_an_edit_around_a_finding_leaves_it_unchanged(change) -> None:
    compared = compare(look(("a.py", change(CODE))), baseline_of(("a.py", CODE)))
    assert (states(compared), compared.fixed) == (["unchanged"], ())


def test_scenario_8_lines_above_the_first_line_of_a_file_leave_its_finding_unchanged() -> None:
    top = "os.system(command)\n\nX = 1\nY = 2\n"
    compared = compare(look(("a.py", "# a line\n" * 50 + top)), baseline_of(("a.py", top)))
    assert (states(compared), compared.fixed) == (["unchanged"], ())


def test_a_secret_in_the_place_of_another_is_new() -> None:
    def found(near: str) -> list[Finding]:
        match = Match(rule_id="secrets:aws_key_id", severity="P0", message="m", tool="secrets", file="a.py", line=3)
        return findings([msgspec.structs.replace(match, window=near, symbol="f")])

    known = renewed(compare(found("old = [redacted:aws_key_id]"), Baseline()))
    assert states(compare(found("old = [redacted:aws_key_id]"), known)) == ["unchanged"]
    assert states(compare(found("other = [redacted:aws_key_id]"), known)) == ["new"]


def test_scenario_8_what_is_fixed_is_fixed_and_what_comes_back_is_a_regression() -> None:
    first = baseline_of(("a.py", CODE))
    fixed = compare(look(("a.py", CODE.replace("os.system(command)", "run(path)"))), first)
    assert (states(fixed), [each.rule_id for each in fixed.fixed]) == ([], ["bandit:B605"])
    second = renewed(fixed)
    assert [each.state for each in second.findings] == ["fixed"]
    assert compare([], second).fixed == ()
    assert states(compare(look(("a.py", CODE)), second)) == ["regressed"]


@pytest.mark.parametrize("moves", [{}, {"a.py": "b/c.py"}])
def test_k9_a_finding_of_a_file_that_was_renamed_is_unchanged(moves: dict[str, str]) -> None:
    compared = compare(look(("b/c.py", CODE)), baseline_of(("a.py", CODE)), moves)
    assert (states(compared), compared.fixed) == (["unchanged"], ())


def test_k9_a_file_that_was_renamed_and_edited_is_followed_by_its_rename() -> None:
    edited = CODE.replace("    return path\n", "    print(path)\n    return None\n")
    edited = edited.replace('    command = "cat " + path\n', '    command = f"less {path}"\n    log(command)\n')
    assert states(compare(look(("b.py", edited)), baseline_of(("a.py", CODE)), {"a.py": "b.py"})) == ["unchanged"]
    assert states(compare(look(("b.py", edited)), baseline_of(("a.py", CODE)))) == ["new"]


def test_a_second_one_beside_a_known_one_is_new() -> None:
    twice = CODE.replace("    return LIMIT\n", "    os.system('ls')\n    return LIMIT\n")
    assert sorted(states(compare(look(("a.py", twice)), baseline_of(("a.py", CODE))))) == ["new", "unchanged"]
    doubled = CODE.replace("    os.system(command)\n", "    os.system(command)\n    os.system(command)\n")
    assert sorted(states(compare(look(("a.py", doubled)), baseline_of(("a.py", CODE))))) == ["new", "unchanged"]


def test_a_copy_of_a_file_is_new() -> None:
    compared = compare(look(("a.py", CODE), ("b.py", CODE)), baseline_of(("a.py", CODE)))
    assert {each.file: each.baseline_state for each in compared.findings} == {"a.py": "unchanged", "b.py": "new"}


def test_a_finding_of_a_whole_file_is_known_by_its_file() -> None:
    whole = [Match(rule_id="repository:too-large", severity="P3", message="large", tool="repository", file="a.bin")]
    moved = [msgspec.structs.replace(whole[0], file="b.bin")]
    known = renewed(compare(findings(whole), Baseline()))
    assert states(compare(findings(whole), known)) == ["unchanged"]
    assert states(compare(findings(moved), known, {"a.bin": "b.bin"})) == ["unchanged"]
    assert states(compare(findings(moved), known)) == ["new"]


def test_without_a_baseline_everything_is_new() -> None:
    assert states(compare(look(("a.py", CODE)), None)) == ["new"]


LOOKS = st.lists(st.tuples(st.sampled_from(["a.py", "b.py", "c/d.py"]), st.integers(0, 3), st.booleans()), max_size=4)


@settings(max_examples=60, deadline=None)
@given(LOOKS, LOOKS)
def test_no_more_are_unchanged_than_were_known_and_each_is_one_thing(before, after) -> None:
    def text(count: int, padded: bool) -> str:
        return ("\n# pad\n" if padded else "") + CODE.replace(
            "    os.system(command)\n", "    os.system(command)\n" * count
        )

    first, second = ({file: text(count, pad) for file, count, pad in each} for each in (before, after))
    known = baseline_of(*first.items())
    compared = compare(look(*second.items()), known)
    assert compared.count("unchanged") + len(compared.fixed) == len(known.open)
    assert compared.count("unchanged") + compared.count("new") == len(compared.findings)
    assert states(compare(look(*first.items()), known)) == ["unchanged"] * len(known.open)


def test_a_baseline_is_the_same_bytes_for_the_same_findings_one_to_a_line() -> None:
    found = look(("b.py", CODE), ("a.py", CODE + CODE))
    one = written(renewed(compare(found, Baseline()), tree="t"))
    other = written(renewed(compare(found[::-1], Baseline()), tree="t"))
    assert one == other
    assert len(one.splitlines()) == len(found) + 2
    assert written(read_baseline(one)) == one
    assert written(Baseline()) == b'{"version":1,"scheme":"omar/v2","tree":"","findings":[]}\n'
    assert read_baseline(written(Baseline())) == Baseline()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "baseline.json:1: it is no JSON"),
        ('{"version": 2}', "version: Invalid enum value 2"),
        ('{"scheme": "v1"}', "scheme: Invalid enum value"),
        ('{"findings": [{"fingerprint": "x"}]}', "findings[0]"),
        ('{"found": []}', "found: there is no such key"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        read_baseline(text.encode())
    assert told in caught.value.detail
