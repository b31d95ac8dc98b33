"""Who looks: by the settings, by a policy with rules of its base, and by commands that write SARIF."""

from pathlib import Path

import msgspec
import pytest

from runwright import config
from runwright.domain.policy_file import read_policy
from runwright.scanners.available import Scanners
from runwright.scanners.program import BadReport, Said
from runwright.scanners.sarif import SarifCommand, written
from runwright.scanners.semgrep import Semgrep
from tests.domain.test_osv import record
from tests.domain.test_sarif_in import at, log
from tests.scanners.ground import Tree, told

POLICY = b"""
gates:
  - id: security
    required: true
    config:
      bandit: false
      zizmor: {enabled: false}
      semgrep: {rules: rules/semgrep.yml}
      dependencies: {database: .runwright/osv.json}
  - id: static_analysis
    config: {ast-grep: {rules: rules/ast-grep}}
policy:
  forbid_patterns:
    - {id: tls-off, pattern: 'verify\\s*=\\s*False', in: '*.py', severity: P1, message: Certificates are checked.}
    - {pattern: '(a+)+$', in: 'docs/**'}
"""
BASE = {
    "rules/semgrep.yml": b"rules: []\n",
    "rules/ast-grep/print.yml": b"id: no-print\nlanguage: Python\nmessage: m\nrule: {pattern: print($$$A)}\n",
    "rules/ast-grep/README.md": b"# Rules\n",
    ".runwright/osv.json": record("PyPI", "flask", {"introduced": "0"}, id="GHSA-1"),
}


def base(path: str) -> dict[str, bytes]:
    """Return the files of the base at a path or beneath it."""
    return {name: data for name, data in BASE.items() if name == path or name.startswith(f"{path}/")}


async def test_a_policy_chooses_with_rules_and_advisories_of_its_base_and_forbids_texts(tree: Tree):
    chosen = Scanners().of_policy(read_policy(POLICY, "policy.yaml"), base)
    assert {each.name for each in chosen} == {"ruff", "ruff_lint", "ast_grep", "semgrep", "dependencies", "policy"}
    tree.write(
        {
            "a.py": "print(1)\n\nget(verify = False)\n",
            "b.txt": "verify=False\n",
            "requirements.txt": "flask==1.0\n",
            "docs/long.txt": ("a" * 4000 + "!\n") * 10,
        }
    )
    seen = await tree.look(*chosen)
    assert told(seen, "ast_grep") == [("P3", "ast_grep:no-print", "a.py", 1)]
    assert told(seen, "policy") == [("P1", "policy:tls-off", "a.py", 3)]
    assert told(seen, "dependencies") == [("P2", "dependencies:GHSA-1", "requirements.txt", 1)]
    assert {each.scanner: each.status for each in seen.not_whole()} == {"semgrep": "not_run"}


def test_rules_that_the_base_does_not_have_are_told():
    policy = read_policy(b"gates: [{id: security, config: {semgrep: {rules: none}}}]\n", "policy.yaml")
    (semgrep,) = [each for each in Scanners().of_policy(policy, base) if each.name == "semgrep"]
    assert "no rules at none" in repr(vars(semgrep))


async def test_a_policy_may_do_without_those_that_come_with_runwright(tree: Tree):
    tree.write({"a.txt": "x\n"})
    seen = await tree.look(without=("secrets",))
    assert [each.scanner for each in seen.reports] == ["repository"]


def test_settings_choose_by_name_and_name_commands():
    settings = config.load(
        {},
        overrides={
            "scanners": "ruff,semgrep,secrets",
            "scan_commands": ("gosec=gosec -fmt sarif ./...", "ruff=true", "bad=a 'b"),
            "scan_advisories": "/nowhere",
        },
    )
    found = Scanners.of(settings)
    assert [each.name for each in found.chosen()] == ["ruff", "semgrep", "gosec", "ruff", "bad"]
    assert found.missing("dependencies") is None
    assert "not installed" in str(found.missing("semgrep"))
    with pytest.raises(ValueError, match="write name=command"):
        written("gosec=")


def says(*words: str) -> SarifCommand:
    """Return a command of the system that writes something."""
    return SarifCommand("mine", ("/bin/sh", "-c", *words))


async def test_what_a_command_writes_as_sarif_is_findings_of_its_name(tree: Tree):
    places = [at("a.go") | {"level": "error"}, at("/workspace/a.go", 1), at("../../etc/passwd"), at("no.go")]
    tree.write({"a.go": "package a\n\nvar x = 1\n", "report.sarif": log(*places)})
    seen = await tree.look(says("cat report.sarif; echo ; exit 3"))
    assert told(seen, "mine") == [("P2", "mine:G101", "a.go", 1), ("P1", "mine:G101", "a.go", 3)]
    report = seen.reports[2]
    assert (report.status, report.reason) == ("partial", "2 of its results are about no text of the tree")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo no", "its output is no SARIF"),
        ("echo wrong >&2; exit 4", "it ended with the exit code 4: wrong"),
        ("yes '{' | head -c 20000000", "its report has more than 16777216 bytes"),
        ('touch /workspace/x && echo \'{"version":"2.1.0","runs":[]}\'', "no SARIF"),
    ],
)
async def test_a_command_that_writes_none_has_not_run(tree: Tree, command: str, why: str):
    report = (await tree.look(says(command))).reports[2]
    assert report.status == "not_run"
    assert why in str(report.reason)


async def test_nobody_who_scans_writes_to_the_tree(tree: Tree):
    tree.root.chmod(0o777)
    report = (await tree.look(says("touch /workspace/new; cat /workspace/new"))).reports[2]
    assert "Read-only file system" in str(report.reason)
    assert list(tree.root.iterdir()) == []


async def test_a_command_whose_program_is_not_there_has_not_run(tree: Tree):
    report = (await tree.look(SarifCommand("gosec", ("gosec", "-fmt", "sarif")))).reports[2]
    assert (report.status, report.reason) == ("not_run", "gosec is not installed on this server")


REPORT = {
    "version": "1.182.0",
    "results": [
        {
            "check_id": "run.runwright.no-eval",
            "path": "/workspace/app.py",
            "start": {"line": 20, "col": 9, "offset": 375},
            "end": {"line": 20, "col": 16, "offset": 382},
            "extra": {"message": "eval of d", "severity": "ERROR", "metadata": {}, "fingerprint": "requires login"},
        }
    ],
    "errors": [{"code": 3, "level": "warn", "type": "Syntax error", "message": "no", "path": "/workspace/b.py"}],
    "paths": {"scanned": ["/workspace/app.py"]},
}
BROKEN = {"results": [], "errors": [{"code": 7, "level": "error", "message": "invalid configuration file found"}]}


def test_the_report_of_semgrep_is_read_as_it_writes_it():
    read = Semgrep({"a.yml": "rules: []"}).read(Said(1, msgspec.json.encode(REPORT), "", too_large=False), ())
    (found,) = read.told
    assert (found.rule, found.severity, found.path, found.line) == ("no-eval", "P1", "app.py", 20)
    with pytest.raises(BadReport, match="invalid configuration"):
        Semgrep({"a.yml": ""}).read(Said(0, msgspec.json.encode(BROKEN), "", too_large=False), ())


async def test_semgrep_without_rules_has_not_run(tree: Tree, tmp_path: Path):
    report = (await tree.look(Semgrep())).reports[2]
    assert report.status == "not_run"
    assert "it has no rules" in str(report.reason)
