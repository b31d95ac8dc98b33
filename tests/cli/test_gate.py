"""`runwright gate run` and `baseline`: a repository is judged here, by its base, with no server and no network."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from sarif.loader import load_sarif_file

from runwright.domain import baseline
from runwright.sandbox import means
from runwright.scanners.bandit import Bandit
from tests.cli.conftest import Call, Ended

CODE = "import subprocess\n\n\ndef run(x):\n    subprocess.call(x, shell=True)\n    return eval(x)\n"
POLICY = """
severity_gate: {block_on: [P0, P1], soft_warn: [P2]}
policy: {forbid_patterns: [{id: no-eval, pattern: 'eval\\(', in: '*.py', severity: P1, message: no eval}]}
quality_gates: [{id: tests, command: [sh, check.sh]}]
"""
SCHEMA = Path(__file__).parents[1] / "governance/fixtures/sarif-schema-2.1.0.json"
IDENTITY = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def passable() -> Iterator[Path]:
    """Make a directory that others may pass, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Repository:
    """A repository of the tests, and the commands that judge it."""

    def __init__(self, root: Path, call: Call) -> None:
        self.root = root
        self._call = call
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words: str) -> str:
        """Ask git."""
        done = subprocess.run(
            ["git", "-C", str(self.root), *words], check=True, capture_output=True, env=os.environ | IDENTITY
        )
        return done.stdout.decode().strip()

    def write(self, files: dict[str, str]) -> None:
        """Write files."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: dict[str, str] | None = None) -> str:
        """Write files, commit all there is, and return the commit."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "m")
        return self.git("rev-parse", "HEAD")

    def gate(self, *words: str) -> Ended:
        """Judge it."""
        return self._call("gate", "run", "--path", str(self.root), *words)

    def judged(self, *words: str) -> dict[str, Any]:
        """Judge it; return what programs read, and see that the exit code is the same."""
        ended = self.gate("--format", "json", *words)
        told: dict[str, Any] = json.loads(ended.out)
        assert told["exit_code"] == ended.code
        return told

    def baseline(self, *words: str) -> Ended:
        """Ask for its baseline."""
        return self._call("baseline", *words, "--path", str(self.root))


@pytest.fixture
def repository(tmp_path: Path, call: Call) -> Repository:
    """Return an empty repository, in a directory with a space."""
    root = tmp_path / "a repository"
    root.mkdir()
    return Repository(root, call)


def rules(told: dict[str, Any], decision: str) -> list[str]:
    """Return the rules of the findings that do something, whoever of the twins bandit and ruff names them."""
    return sorted(
        each["rule_id"].replace("bandit:B", "ruff:S") for each in told["findings"] if each["decision"] == decision
    )


def test_a_repository_is_judged_by_its_policy_and_blocked_for_what_it_says(repository: Repository) -> None:
    repository.commit({"app.py": CODE, ".runwright/policy.yaml": POLICY, "check.sh": "exit 0"})
    told = repository.judged()
    assert (told["status"], told["exit_code"]) == ("blocked", 1)
    assert rules(told, "blocks") == ["policy:no-eval", "ruff:S602"]
    assert [(gate["gate_id"], gate["status"]) for gate in told["gates"]] == [("tests", "green")]
    scanners = {scan["scanner"]: scan["status"] for scan in told["scanners"]}
    assert (scanners["ruff"], scanners["policy"], scanners["secrets"]) == ("completed",) * 3
    assert told["policy"]["file"] == ".runwright/policy.yaml"
    shown = repository.gate()
    assert shown.code == 1
    assert "BLOCKED" in shown.out
    assert "policy:no-eval" in shown.out


def test_what_is_clean_and_green_passes(repository: Repository) -> None:
    repository.commit({"app.py": "X = 1\n", ".runwright/policy.yaml": POLICY, "check.sh": "exit 0"})
    assert repository.gate().code == 0


def test_a_change_is_judged_by_the_policy_of_its_base_and_its_own_is_reported(repository: Repository) -> None:
    repository.commit({"app.py": "X = 1\n", ".runwright/policy.yaml": POLICY, "check.sh": "exit 0"})
    weak = {
        "app.py": CODE,
        ".runwright/policy.yaml": "severity_gate: {block_on: [], soft_warn: []}",
        ".runwright/suppressions.yaml": "suppressions: [{path: '**', reason: r, owner: ana, expires_at: 2099-01-01}]",
    }
    repository.write(weak)
    told = repository.judged()
    assert rules(told, "blocks") == ["policy:no-eval", "ruff:S602"]
    assert "policy:policy-changed" in rules(told, "warns")
    assert any("suppressions.yaml differs from the base" in note for note in told["notes"])
    repository.git("checkout", "--quiet", "-b", "change")
    repository.commit()
    assert repository.judged("--base", "main")["status"] == "blocked"
    assert repository.judged("--base", "HEAD")["status"] == "passed"


def test_a_base_that_has_nothing_in_common_is_said_to_be_that(repository: Repository) -> None:
    repository.commit({"a.py": ""})
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.commit({"b.py": ""})
    ended = repository.gate("--base", "main")
    assert (ended.code, ended.out) == (2, "")
    assert "HEAD and main have no commit in common here\nFetch more of the history" in ended.err


def test_with_diff_only_what_changed_is_judged(repository: Repository) -> None:
    repository.commit({"old.py": CODE, "app.py": "X = 1\n"})
    assert repository.judged("--diff")["status"] == "passed"
    repository.write({"new.py": CODE})
    told = repository.judged("--diff")
    assert {each["file"] for each in told["findings"]} == {"new.py"}
    assert told["status"] == "blocked"


def test_the_severity_from_which_it_fails_can_be_named(repository: Repository) -> None:
    repository.commit({"app.py": "eval(input())\n"})
    assert repository.gate().code == 0
    assert repository.gate("--fail-severity", "P2").code == 1
    repository.commit({"app.py": CODE})
    assert repository.gate("--fail-severity", "none").code == 0


def test_a_baseline_lets_a_gate_judge_what_is_new(repository: Repository) -> None:
    repository.commit({"app.py": CODE})
    assert repository.baseline("set").code == 0
    repository.commit({"app.py": "# a line\n" * 50 + CODE})
    states = repository.judged()["baseline"]
    known = states.pop("unchanged")
    assert (known > 1, states) == (True, {"new": 0, "regressed": 0, "fixed": 0})
    assert (repository.gate().code, repository.baseline("diff").code) == (0, 0)
    repository.git("mv", "app.py", "moved.py")
    assert repository.judged()["counts"]["known"] == known
    repository.write({"moved.py": "X = 1\n"})
    assert repository.judged()["baseline"]["fixed"] == known
    repository.baseline("set")
    repository.commit()
    repository.write({"moved.py": CODE})
    told = repository.judged()
    assert (told["baseline"]["regressed"], told["status"]) == (known, "blocked")
    diff = repository.baseline("diff", "--json")
    assert (diff.code, [row["state"] for row in json.loads(diff.out)]) == (1, ["regressed"] * known)
    assert "fixed" in repository.baseline("show").out


def test_what_nobody_looked_for_is_not_fixed_and_does_not_come_back(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"app.py": "import subprocess\n\nprint(subprocess)\n"})
    repository.baseline("set")
    before = (repository.root / baseline.FILE).read_bytes()
    monkeypatch.setattr(Bandit, "program", "no-such-program")
    missing = repository.baseline("diff")
    assert (missing.code, "fixed" in missing.out) == (0, False)
    assert (
        "known before, and not looked for by bandit: 1"
        in repository.gate("--baseline", str(repository.root / baseline.FILE)).err
    )
    repository.baseline("set")
    assert (repository.root / baseline.FILE).read_bytes() == before


def test_a_suppression_of_the_base_counts_until_it_ends(repository: Repository) -> None:
    hide = "suppressions: [{rule: 'ruff:S602', reason: 'no user input', owner: ana, expires_at: 2099-01-01}]"
    repository.commit({"app.py": CODE, ".runwright/suppressions.yaml": hide})
    told = repository.judged()
    assert (told["status"], rules(told, "suppressed")) == ("passed", ["ruff:S602"])
    repository.commit({".runwright/suppressions.yaml": hide.replace("2099", "2019")})
    told = repository.judged()
    assert told["status"] == "blocked"
    assert any("it ended on 2019-01-01" in note for note in told["notes"])


def test_what_is_suppressed_is_no_part_of_a_baseline_and_counts_again_when_that_ends(repository: Repository) -> None:
    hide = "suppressions: [{rule: 'ruff:S602', reason: 'no user input', owner: ana, expires_at: 2099-01-01}]"
    repository.commit({"app.py": CODE, ".runwright/suppressions.yaml": hide})
    assert json.loads(repository.baseline("set", "--json").out)["suppressed"] == 1
    assert repository.baseline("diff").code == 0
    named = ("--baseline", str(repository.root / baseline.FILE))
    assert repository.judged(*named)["baseline"]["new"] == 0
    repository.commit({".runwright/suppressions.yaml": hide.replace("2099", "2019")})
    told = repository.judged()
    assert (told["status"], rules(told, "blocks")) == ("blocked", ["ruff:S602"])


def test_what_a_gate_changes_is_put_back_and_what_cannot_run_is_not_green(repository: Repository) -> None:
    gates = """
quality_gates:
  - {id: writes, command: [sh, -c, 'touch made; rm a.py'], required: false}
  - {id: finds, command: [sh, -c, 'test ! -e made && test -e a.py'], required: false}
  - {id: missing, command: [no-such-program]}
  - {id: late, command: [sleep, '60'], timeout: 0.2, required: false}
  - {id: net, command: [sh, -c, 'exec 3<>/dev/tcp/192.0.2.1/80'], required: false}
"""
    repository.commit({"a.py": "", ".runwright/policy.yaml": gates})
    told = repository.judged()
    assert {gate["gate_id"]: (gate["status"], len(gate["tries"])) for gate in told["gates"]} == {
        "writes": ("green", 1),
        "finds": ("green", 1),
        "missing": ("not_run", 1),
        "late": ("not_run", 1),
        "net": ("red", 2),
    }
    assert told["status"] == "blocked"
    assert not (repository.root / "made").exists()


def test_coverage_is_read_from_where_the_gate_says_and_enforced(repository: Repository) -> None:
    policy = """
policy: {coverage_min: 80}
quality_gates: [{id: tests, command: [sh, t.sh], coverage: {file: out/coverage.xml}}]
"""
    report = 'mkdir out; echo "<coverage lines-valid=\\"100\\" lines-covered=\\"80\\">" > out/coverage.xml'
    repository.commit({".runwright/policy.yaml": policy, "t.sh": report})
    assert repository.gate().code == 0
    repository.write({"t.sh": report.replace("80", "79")})
    told = repository.judged()
    assert [gate["gate_id"] for gate in told["gates"] if not gate["passed"]] == ["coverage"]
    repository.write({"t.sh": "ln -s /etc/passwd coverage.xml"})
    assert repository.judged()["gates"][-1]["status"] == "not_run"


@pytest.mark.parametrize(
    ("policy", "words", "code"),
    [
        ("gates: [{id: llm_judge}]", [], 10),
        ("gates: [{id: llm_judge}]\nllm_failure_policy: ignore", [], 0),
        ("forks: block", ["--from-fork"], 12),
        ("forks: limited", ["--from-fork"], 0),
        ("gates: [{id: security, behavior: ask}]\napproval_mode: manual\nseverity_gate: {block_on: [P2], soft_warn: []}", [], 13),  # noqa: E501
        ("severity_gate: {block_on: [P7]}", [], 2),
        ("gates: [{id: security, required: true, config: {semgrep: true}}]", [], 1),
    ],
)  # fmt: skip
def test_the_exit_code_says_how_it_ended(repository: Repository, policy: str, words: list[str], code: int) -> None:
    repository.commit({"app.py": "eval(input())\n", ".runwright/policy.yaml": policy})
    assert repository.gate(*words).code == code


def test_an_invalid_policy_is_named_with_its_place_and_nothing_is_judged(repository: Repository) -> None:
    repository.commit({".runwright/policy.yaml": "version: 1\nscope:\n  allowed: []\n"})
    ended = repository.gate()
    assert (ended.code, ended.out) == (2, "")
    assert ".runwright/policy.yaml:3: scope.allowed: there is no such key" in ended.err
    explicit = repository.root / "other.json"
    explicit.write_text("{")
    assert "other.json:1: it is no JSON" in repository.gate("--policy", str(explicit)).err


def test_where_no_sandbox_works_nothing_is_judged(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit({"app.py": CODE})
    monkeypatch.setattr(means, "bubblewraps", list)
    ended = repository.gate()
    assert (ended.code, ended.out) == (2, "")
    assert "no sandbox works here" in ended.err
    assert "Nothing was judged" in ended.err


def test_scenario_9_the_findings_are_sarif_that_other_tools_read(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a b.py": CODE, "gone.py": "import os\nos.system(input())\nexec(input())\n"})
    repository.baseline("set")
    repository.commit({"gone.py": "X = 1\n", "new.py": CODE})
    output = tmp_path / "gate.sarif"
    assert repository.gate("--format", "sarif", "--output", str(output)).code == 1
    whole = json.loads(output.read_text())
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(whole)
    results = whole["runs"][0]["results"]
    assert {each["baselineState"] for each in results} == {"new", "unchanged", "absent"}
    assert "a%20b.py" in {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
    warnings = [each["message"]["text"] for each in whole["runs"][0]["invocations"][0]["toolExecutionNotifications"]]
    assert any(text.startswith("semgrep: not_run") for text in warnings)
    read = load_sarif_file(str(output))
    assert read.get_distinct_tool_names() == ["Runwright"]
    assert read.get_result_count() == len(results)
    records = {(each["Code"], each["Severity"]) for each in read.get_records()}
    assert ("bandit:B602", "error") in records


def test_what_lies_beside_the_repository_and_what_is_ignored_is_not_looked_at(repository: Repository) -> None:
    repository.commit({"a.py": "", ".gitignore": "venv/\n", "venv/bad.py": CODE})
    (repository.root / "out").symlink_to("/etc/passwd")
    told = repository.judged()
    assert told["counts"]["blocks"] == 0
    assert "repository:link-leads-out" in rules(told, "warns")


def test_a_change_counts_and_has_owners_whatever_is_hidden_of_its_paths(repository: Repository) -> None:
    policy = f"{POLICY}\ngates: [{{id: ownership, required: true}}]\n"
    repository.commit({"CODEOWNERS": "/ghp_*/ @vault", "check.sh": "", ".runwright/policy.yaml": policy})
    repository.write({f"ghp_{'a1B2c3D4e5F6' * 3}/app.py": CODE})
    told = repository.judged("--diff")
    assert told["status"] == "blocked"
    found = {each["file"]: each["owners"] for each in told["findings"] if each["rule_id"].endswith("no-eval")}
    assert found == {"[redacted:github_token]/app.py": ["@vault"]}
    (ownership,) = [gate for gate in told["gates"] if gate["gate_id"] == "ownership"]
    assert (ownership["status"], ownership["detail"]) == ("green", "1 changed file, each with an owner")
    assert "ghp_" not in json.dumps(told)


def test_a_change_has_owners_and_the_tests_that_belong_to_it_are_run(repository: Repository) -> None:
    policy = """
gates:
  - {id: ownership, required: true}
  - {id: scoped_tests, required: true, config: {command: [sh, run.sh]}}
"""
    files = {
        "app.py": "",
        "test_app.py": "",
        "test_other.py": "",
        "run.sh": 'test "$*" = test_app.py',
        "CODEOWNERS": "*.py @ana",
    }
    repository.commit({**files, ".runwright/policy.yaml": policy})
    repository.write({"app.py": CODE})
    told = repository.judged("--fail-severity", "none")
    assert [(gate["gate_id"], gate["status"]) for gate in told["gates"]] == [
        ("scoped_tests", "green"),
        ("ownership", "green"),
    ]
    assert told["gates"][0]["detail"].startswith("1 file of tests: ")
    assert {tuple(each["owners"]) for each in told["findings"]} == {("@ana",)}
    repository.write({"run.sh": 'test "$*" = ""', "CODEOWNERS": "* @mallory"})
    told = repository.judged("--fail-severity", "none")
    assert [gate["status"] for gate in told["gates"]] == ["green", "red"], (
        "those of the base own, and all tests are run"
    )
    assert "2 of 3 changed files without an owner: CODEOWNERS, run.sh" in told["gates"][1]["detail"]


def test_a_directory_that_is_no_repository_is_judged_by_its_own_policy(tmp_path: Path, call: Call) -> None:
    (tmp_path / "x.py").write_text(CODE)
    ended = call("gate", "run", "--path", str(tmp_path))
    assert ended.code == 1
    assert "this is no git repository" in ended.err
    assert call("gate", "run", "--path", str(tmp_path / "none")).code == 2
    assert call("gate", "run", "--path", str(tmp_path), "--base", "main").code == 2


def test_scenario_11_a_policy_with_expressions_that_never_end_elsewhere_ends(repository: Repository) -> None:
    policy = "policy: {forbid_patterns: [{pattern: '(x+x+)+y'}, {pattern: '^(a|aa)+$', severity: P0}]}"
    lines = "\n".join(["x" * 4_000, "a" * 4_000 + "!"] * 50)
    repository.commit({"a.txt": lines, ".runwright/policy.yaml": policy})
    told = repository.judged()
    assert (told["status"], rules(told, "blocks")) == ("passed", [])


def test_a_gate_finds_the_programs_of_an_environment_that_is_named(repository: Repository, passable: Path) -> None:
    there = passable
    (there / "bin").mkdir()
    program = there / "bin" / "our-check"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    repository.commit({".runwright/policy.yaml": "quality_gates: [{id: ours, command: [our-check]}]"})
    assert repository.gate().code == 1
    assert repository.gate("--env", str(there)).code == 0
    assert repository.gate("--env", str(repository.root)).code == 2


def test_more_findings_than_can_be_compared_are_no_pass(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runwright.governance.local.gate_run.FINDINGS_MAX", 2)
    policy = "policy: {forbid_patterns: [{id: no-todo, pattern: TODO, in: '*.txt', severity: P3, message: later}]}"
    repository.commit({".runwright/policy.yaml": policy, "a.txt": "TODO\n" * 2})
    assert repository.judged()["status"] == "passed"
    repository.commit({"a.txt": "TODO\n" * 5})
    told = repository.judged()
    gate = next(each for each in told["gates"] if each["gate_id"] == "findings")
    assert (told["exit_code"], gate["status"], gate["required"]) == (1, "not_run", True)
    assert gate["detail"] == "3 findings more were counted than can be compared (2): 3 of policy"


def test_what_was_not_looked_into_is_told_with_its_reason(repository: Repository) -> None:
    repository.commit({"a.py": "X = 1\n", "big.txt": "x" * 6_000, "none.bin": "\0" * 9})
    other = repository.root / "vendored"
    subprocess.run(["git", "init", "--quiet", str(other)], check=True)
    ended = repository.gate()
    assert (ended.code, "not looked into: 1 binary, 1 long line, 1 submodule" in ended.err) == (0, True)
    assert repository.judged()["tree"]["skipped_by"] == {"binary": 1, "long_line": 1, "submodule": 1}


@pytest.mark.parametrize("file", [".runwright/policy.yaml", ".runwright/suppressions.yaml", ".runwright/baseline.json"])
def test_a_link_in_place_of_what_counts_is_refused_and_not_passed_over(repository: Repository, file: str) -> None:
    repository.commit({"real.yaml": "severity_gate: {block_on: [P3]}", ".runwright/other": ""})
    (repository.root / file).symlink_to("../real.yaml")
    repository.commit()
    ended = repository.gate()
    assert (ended.code, ended.out) == (2, "")
    assert f"{file}: it is a link or a directory" in ended.err


def test_a_policy_that_is_named_is_not_said_to_be_the_bases(repository: Repository) -> None:
    repository.commit({"a.py": "X = 1\n"})
    repository.write({".runwright/policy.yaml": "severity_gate: {block_on: [P3]}"})
    assert "the base's counts" in repository.gate().err
    assert "the base's counts" not in repository.gate("--policy", str(repository.root / ".runwright/policy.yaml")).err


def test_an_output_that_cannot_be_written_is_wrong_usage_and_no_verdict(repository: Repository) -> None:
    repository.commit({"a.py": "X = 1\n"})
    for words in (["--format", "json", "--output", "/nonexistent/x.json"], ["--output", "x"]):
        ended = repository.gate(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "is not written" in ended.err


def test_no_text_of_a_repository_moves_the_cursor(repository: Repository) -> None:
    repository.commit({".runwright/policy.yaml": '"\\e[2J\\e[31mPASSED": 1\n'})
    assert "\x1b" not in repository.gate().err
