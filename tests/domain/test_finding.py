"""The names of findings: one for what two tools mean, and the same after every edit that changes nothing of it."""

from msgspec.structs import replace

from runwright.domain.finding import Finding, Match, family, findings, findings_by, symbol, window

CODE = """import os


class Client:
    def connect(self, name):
        send(name)
        os.system("ls " + name)
        wait()
"""


def match(
    code: str = CODE, file: str = "a.py", needle: str = "os.system", tool: str = "ruff", rule: str = "ruff:S605"
) -> Match:
    """Return a match at a piece of code."""
    lines = code.split("\n")
    line = next(number for number, text in enumerate(lines, 1) if needle in text)
    return Match(
        rule_id=rule,
        severity="P1",
        message="a shell",
        tool=tool,
        file=file,
        line=line,
        end_line=line,
        window=window(lines, line, line),
        symbol=symbol(lines, line),
    )


def named(one: Match) -> Finding:
    (found,) = findings([one])
    return found


def test_scenario_8_fifty_lines_above_another_indentation_and_another_literal_are_the_same_finding():
    before = named(match())
    below = named(match("# a line\n" * 50 + CODE))
    assert (below.fingerprint, below.line - before.line) == (before.fingerprint, 50)
    assert named(match(CODE.replace("    ", "\t"))).fingerprint == before.fingerprint
    assert named(match(CODE.replace('"ls "', "'cat '"))).fingerprint == before.fingerprint
    assert named(replace(match(), severity="P3", message="other words")).fingerprint == before.fingerprint


def test_a_comment_is_no_heading_but_in_a_document() -> None:
    lines = ["# a title", "x = 1"]
    assert (symbol(lines, 2, "a.py"), symbol(lines, 2, "a.md")) == ("", "a title")


def test_scenario_8_a_renamed_file_keeps_the_key_of_its_content_and_the_symbol():
    before, after = named(match()), named(match(file="b/c.py"))
    assert after.fingerprint != before.fingerprint
    assert (after.content_key, after.symbol) == (before.content_key, "Client.connect")
    elsewhere = named(match(CODE.replace("Client", "Server")))
    assert (elsewhere.content_key, elsewhere.symbol) == (before.content_key, "Server.connect")
    assert elsewhere.fingerprint != before.fingerprint


def test_scenario_8_a_real_change_is_another_finding():
    before = named(match())
    changed = named(match(CODE.replace('os.system("ls " + name)', "os.system(quoted(name))")))
    assert changed.fingerprint != before.fingerprint
    assert changed.content_key != before.content_key


def test_what_has_no_neighbourhood_has_no_key_to_be_found_again_by():
    assert named(Match(rule_id="x:y", severity="P2", message="m", tool="x", file="a")).content_key == ""


def test_k8_bandit_and_ruff_have_one_name_for_what_they_both_look_for():
    assert family("bandit:B602") == family("ruff:S602") == "S602"
    assert family("ruff:F401") == "F401"
    assert family("bandit:B6021") == "B6021"
    assert family("secrets:github_token") == "github_token"


def test_k8_lines_of_one_statement_are_one_place_for_tools_that_differ_and_two_for_one_tool():
    call = "call(\n    a,\n    shell=True,\n)\n" * 2
    lines = call.split("\n")

    def at(tool: str, rule: str, line: int, last: int) -> Match:
        return Match(
            rule_id=f"{tool}:{rule}", severity="P1", message="m", tool=tool, file="a.py", line=line, end_line=last,
            window=window(lines, line, line),
        )  # fmt: skip

    bandit = [at("bandit", "B602", 1, 4), at("bandit", "B602", 5, 8)]
    ruff = [at("ruff", "S602", 3, 3), at("ruff", "S602", 7, 7)]
    found = findings([*bandit, *ruff])
    assert [(each.line, each.sources) for each in found] == [(1, ("bandit", "ruff")), (5, ("bandit", "ruff"))]
    assert [each.line for each in findings([at("ruff", "S602", 1, 4), at("ruff", "S602", 3, 3)])] == [1, 3]
    apart = findings([at("bandit", "B602", 1, 2), at("ruff", "S602", 3, 3)])
    assert [each.sources for each in apart] == [("bandit",), ("ruff",)]
    whole = [replace(at(tool, rule, 0, 0), window="") for tool, rule in (("bandit", "B602"), ("ruff", "S602"))]
    assert [each.sources for each in findings(whole)] == [("bandit", "ruff")]


def test_what_two_scanners_tell_of_one_statement_belongs_to_both_of_their_reports():
    def at(tool: str, rule: str, line: int, last: int) -> Match:
        return Match(
            rule_id=f"{tool}:{rule}", severity="P1", message="m", tool=tool, file="a.py", line=line, end_line=last,
            window=f"line {line} of code",
        )  # fmt: skip

    found, (bandit, ruff) = findings_by(
        [[at("bandit", "B602", 1, 4)], [at("ruff", "S602", 3, 3), at("ruff", "S101", 9, 9)]]
    )
    assert [(each.rule_id, each.sources) for each in found] == [
        ("bandit:B602", ("bandit", "ruff")),
        ("ruff:S101", ("ruff",)),
    ]
    assert (bandit, ruff) == ({found[0].fingerprint}, {each.fingerprint for each in found})
