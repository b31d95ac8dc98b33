"""Policy files: what they say, what they may not say and where it stands, and that no key of them is without effect."""

import time
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.linear import linear
from runwright.domain.policy_approvals import ApprovalRules, together
from runwright.domain.policy_file import FILES, PolicyFile, first_of, read_policy
from runwright.domain.policy_text import read_written
from runwright.errors import PolicyInvalid
from tests.docs.pages import blocks

NAME = ".runwright/policy.yaml"
DERIVED = {"name", "digest", "scanners", "forbid_patterns", "coverage_min", "confidence_floors", "scoped_tests"}
"""What a policy has that is no key of the file's own."""
WHOLE = """
version: 1
spec_id: null
severity_gate: {block_on: [P0, P1], soft_warn: [P2]}
gates:
  - {id: security, enabled: true, behavior: deny, required: true, config: {bandit: true, semgrep: {rules: rules/}}}
  - {id: llm_judge, enabled: false, behavior: ask, config: {confidence_floors: {P0: .8, P1: .8, P2: .85, P3: .95}}}
policy:
  forbid_patterns: [{pattern: 'verify=False', in: '*.py', severity: P1, behavior: deny, message: TLS off}]
  coverage_min: 0.0
quality_gates: [{id: tests, command: [python, -m, pytest, -q], timeout: 600, required: true}]
scope: {allow: ['src/**','tests/**'], deny: ['.github/**','**/migrations/**']}
commands: {allow: [git, python, ruff, pytest], network: deny, domains: []}
approvals: {push: {quorum: 1}, plan: {quorum: 2}}
budgets: {max_cost_usd: 5, max_tokens: 400000, max_runtime_seconds: 1800, max_tool_calls: 400, max_iterations: 8}
tamper_guards: {forbid_test_deletion: true, forbid_new_suppressions: true, forbid_gate_edits: true}
llm_only_blocking: corroborated
"""


def read(text: str, name: str = NAME) -> PolicyFile:
    """Return the policy of a text."""
    return read_policy(text.encode(), name)


def refused(text: str | bytes, name: str = NAME) -> str:
    """Return what is said of a text that is no policy."""
    with pytest.raises(PolicyInvalid) as caught:
        read_policy(text if isinstance(text, bytes) else text.encode(), name)
    return caught.value.detail


def test_the_whole_file_is_read_and_each_key_counts() -> None:
    policy = read(WHOLE)
    assert (policy.blocking, policy.warning) == (("P0", "P1"), ("P2",))
    assert policy.gate("security").required
    assert policy.scanner("bandit").required
    assert (policy.scanner("semgrep").rules, policy.scanner("zizmor").required) == ("rules/", False)
    (forbidden,) = policy.forbid_patterns
    assert (forbidden.files, forbidden.severity, forbidden.told) == ("*.py", "P1", "TLS off")
    assert policy.behavior(forbidden.rule_id) == "deny"
    assert [gate.command[0] for gate in policy.quality_gates] == ["python"]
    assert policy.scope.allows("src/a.py")
    assert not policy.scope.allows("setup.py")
    assert not policy.scope.allows("src/app/migrations/0001.py")
    assert policy.commands.allows(("/usr/bin/python", "-c", ""))
    assert not policy.commands.allows(("curl",))
    assert policy.approvals == {"push": ApprovalRules(), "plan": ApprovalRules(quorum=2)}
    budget = policy.budgets.budget
    assert (budget.cost_microusd, budget.tokens, budget.wall_s, budget.tool_calls) == (5_000_000, 400_000, 1800, 400)
    assert policy.budgets.max_iterations == 8


def test_without_a_file_and_in_an_empty_one_the_defaults_count() -> None:
    for text in ("", "{}", "# nothing\n"):
        found = read(text)
        assert PolicyFile(name=found.name, digest=found.digest) == found
    policy = PolicyFile()
    assert [gate.id for gate in policy.gates if gate.enabled] == ["static_analysis", "security", "policy"]
    assert policy.scope.allows("anything/at/all")
    assert policy.commands.allows(("anything",))


def test_the_first_file_of_the_two_homes_is_found() -> None:
    assert FILES[0] == ".runwright/policy.yaml"
    assert first_of(["README.md", ".sentinelayer/policy.yml", ".runwright/policy.json"]) == ".runwright/policy.json"
    assert first_of(["policy.yaml"]) is None


@pytest.mark.parametrize(
    ("rule", "behavior"),
    [
        ("{id: security}", "deny"),
        ("{id: security, hard: true}", "deny"),
        ("{id: security, hard: false}", "allow"),
        ("{id: security, hard: true, behavior: ask}", "ask"),
        ("{id: security-scan, hard: false}", "allow"),
        ("{id: Security, behavior: allow}", "allow"),
    ],
)
def test_an_explicit_behaviour_counts_before_the_older_word(rule: str, behavior: str) -> None:
    assert read(f"gates: [{rule}]").behavior("bandit:B608") == behavior


def test_ids_of_gates_are_spelled_one_way_and_unknown_ones_are_kept() -> None:
    policy = read("gates: [{id: static-analysis, enabled: false}, {id: my-own, config: {a: 1}, required: true}]")
    assert not policy.scanner("ruff_lint").enabled
    (kept,) = (gate for gate in policy.gates if not gate.known)
    assert (kept.id, kept.config, kept.required) == ("my_own", {"a": 1}, True)


def test_rules_of_the_gate_policy_count_before_those_of_the_key_policy() -> None:
    text = """
policy: {coverage_min: 80, forbid_patterns: [{pattern: eval}]}
gates: [{id: policy, behavior: ask, config: {coverage_min: 0.9}}]
"""
    policy = read(text)
    assert policy.coverage_min == 0.9
    assert policy.behavior(policy.forbid_patterns[0].rule_id) == "ask"
    assert read("policy: {coverage_min: 80}").coverage_min == 0.8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2", "policy.yaml:1: version: this is for version 1"),
        ("version: true", "policy.yaml:1: version:"),
        ("- 1", "a policy is a mapping"),
        ("gates:\n  - id: security\n    enabled: maybe", "policy.yaml:3: gates[0].enabled: Expected `bool`"),
        ("scope:\n  allow: [a]\n  allowed: []", "policy.yaml:3: scope.allowed: there is no such key"),
        ("severity: {}", "policy.yaml:1: severity: there is no such key"),
        ("severity_gate: {block_on: [P0], soft_warn: [P0]}", "severity_gate.soft_warn: P0 blocks already"),
        ("severity_gate: {block_on: [P9]}", "severity_gate.block_on[0]: Invalid enum value"),
        ("gates: [{id: static}, {id: static-analysis}]", "gates[1].id: the gate static_analysis stands there twice"),
        ("gates: [{id: security, config: {snyk: true}}]", "gates[0].config.snyk: there is no such scanner"),
        ("gates: [{id: security, config: {bandit: {rules: x}}}]", "the scanner bandit takes no rules"),
        ("gates: [{id: policy, config: {coverage: 1}}]", "gates[0].config.coverage: there is no such key"),
        ("gates: [{id: llm_judge, config: {confidence_floors: {P0: .5}}}]", "may be higher than 0.8, and not lower"),
        ("policy: {forbid_patterns: [{pattern: '(a)\\1'}]}", "forbid_patterns[0].pattern: it cannot be matched"),
        ("policy: {forbid_patterns: [{pattern: '(?=a)b'}]}", "cannot be matched in linear time"),
        ("policy: {forbid_patterns: [{pattern: '((a{1000}){1000}){9}'}]}", "cannot be matched in linear time"),
        ("policy: {forbid_patterns: [{pattern: 'a*'}]}", "it matches where nothing stands"),
        ("policy: {forbid_patterns: [{pattern: a}, {pattern: a}]}", "forbid_patterns[1]: the rule policy:"),
        ("policy: {forbid_patterns: [{pattern: a, in: '[x]'}]}", "forbid_patterns[0].in: '['"),
        ("gates: [{id: security, config: {semgrep: {rules: ../..}}}]", "gates[0].config.semgrep.rules: Expected `str`"),
        ("gates: [{id: security, config: {semgrep: {rules: a/..}}}]", "gates[0].config.semgrep.rules: Expected `str`"),
        ("policy: {coverage_min: 101}", "policy.coverage_min: Expected `float` <= 100"),
        ("scope: {allow: [/etc]}", "scope.allow[0]: a pattern is for relative paths"),
        ("commands: {network: allow}", "commands.network: commands have no network here"),
        ("commands: {domains: [pypi.org]}", "commands.domains: commands have no network here"),
        ("commands: {allow: [ruff]}\nquality_gates: [{id: t, command: [make]}]", "the gate could never run"),
        ("quality_gates:\n  - {id: t, command: []}", "policy.yaml:2: quality_gates[0].command: Expected"),
        ("quality_gates: [{id: t, command: [a]}, {id: t, command: [a]}]", "quality_gates[1].id: the gate t stands"),
        ("policy: {coverage_min: 80}\nquality_gates: [{id: coverage, command: [a]}]", "a gate of the policy itself"),
        ("gates: [{id: ownership, config: {file: x}}]", "gates[0].config.file: there is no such key"),
        ("gates: [{id: scoped_tests, config: {tests: ['a']}}]", "missing required field `command`"),
        ("gates: [{id: scoped_tests, config: {command: [a], idle: ['!x']}}]", "gates[0].config.idle[0]"),
        ("gates: [{id: scoped_tests, config: {command: [a]}}]\ncommands: {allow: [b]}", "the gate could never run"),
        ("gates: [{id: scoped_tests}]\nquality_gates: [{id: scoped-tests, command: [a]}]", "of the policy itself"),
        ("gates: [{id: locks}]\nquality_gates: [{id: locks, command: [a]}]", "a gate of the policy itself"),
        ("quality_gates: [{id: t, command: [a], timeout: 0}]", "quality_gates[0].timeout: Expected `float` > 0"),
        ("approvals: {launch: {quorum: 1}}", "approvals.launch: nobody is asked about that"),
        ("approvals:\n  merge: {quorum: 2}", "policy.yaml:2: approvals.merge: nothing asks for that"),
        ("approvals: {merge: {}}", "say at the forge how many must approve"),
        ("approvals: {budget_raise: {}}", "bound it by `budgets`"),
        ("approvals: {exec_network: {}}", "commands have no network here"),
        ("approvals: {policy_exception: {}}", "there are none: change the policy"),
        ("approvals: {baseline_accept: {}}", "a baseline is a file of the repository"),
        ("approvals: {evidence_release: {}}", "whoever has the scope"),
        ("approvals: {push: {roles: [viewer, operator]}}", "approvals.push.roles: none of them may decide"),
        ("approvals: {push: {quorum: 0}}", "approvals.push.quorum: Expected `int` >= 1"),
        ("budgets: {max_cost_usd: 0}", "budgets.max_cost_usd: Expected `float` > 0"),
        ("budgets: {max_iterations: 1.5}", "budgets.max_iterations: Expected `int"),
        ("llm_only_blocking: always", "llm_only_blocking: Invalid enum value"),
        ("tamper_guards: {forbid_test_deletion: no}", "Expected `bool`, got `str`"),
    ],
)
def test_what_it_may_not_say_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refused(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x [1]\nb: *x", "1: a: anchors and aliases are not taken"),
        ("a: !!python/object/apply:os.system [id]", "a: tags are not taken"),
        ("a: 1\na: 2", "2: a: the key stands there twice"),
        ("a: b: c", "1: it is no YAML"),
        ("{}\n---\n{}", "more than one document"),
        ("[" * 5_000, "more than 20 deep"),
        ("{a: " * 5_000, "more than 20 deep"),
        ("? [a]\n: b", "a key is a word"),
        (b"\xff\xfe\xff", "it is no UTF-8"),
        (b"a: \x00", "it is no YAML"),
        ("# " + "x" * (1 << 20), "more than 1048576 bytes"),
    ],
)
def test_what_yaml_could_hide_is_refused(text: str | bytes, told: str) -> None:
    assert told in refused(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"version": 1, "version": 1}', "version: the key stands there twice"),
        ('{"budgets": {"max_tokens": NaN}}', "NaN is no number"),
        ("{\n'a': 1}", "policy.json:2: it is no JSON"),
        ("[" * 100_000, "more than 20 deep"),
        ('{"\\ud800": 1}', "half a character"),
        ('{"spec_id": "\\ud800"}', "half a character"),
        ('{"budgets": {"max_tokens": 0}}', "budgets.max_tokens: Expected `int` >= 1"),
    ],
)
def test_json_is_held_to_the_same(text: str, told: str) -> None:
    assert told in refused(text, ".runwright/policy.json")


def test_json_says_what_yaml_says() -> None:
    as_json = read('{"scope": {"deny": ["a/**"]}, "spec_id": "\\u00e4"}', "x.json")
    as_yaml = read("scope: {deny: [a/**]}\nspec_id: ä", "x.yaml")
    assert (as_json.scope, as_json.spec_id) == (as_yaml.scope, as_yaml.spec_id)


def test_scenario_11_an_expression_that_would_take_for_ever_elsewhere_takes_no_time() -> None:
    policy = read("policy: {forbid_patterns: [{pattern: '(x+x+)+y'}, {pattern: '(a|aa)+b', in: '*'}]}")
    began = time.process_time()
    for each in policy.forbid_patterns:
        assert linear(each.pattern).search(b"x" * 100_000 + b"a" * 100_000) is None
    assert time.process_time() - began < 1


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="{}[]:,-?&*!|>'\"%@` \n\tab01~#", max_size=60).map(str.encode))
)
def test_whatever_is_read_is_a_policy_or_is_refused(data: bytes) -> None:
    for name in ("p.yaml", "p.json"):
        with suppress(PolicyInvalid):
            assert read_policy(data, name).name == name


def test_the_page_shows_every_key_by_an_example_that_is_valid() -> None:
    shown: set[str] = set()
    for block in blocks("docs/how-to/write-a-policy.md"):
        if block.language == "yaml":
            written = read_written(block.text.encode(), f"{block.where}.yaml")
            if "suppressions" not in written.value:
                read_policy(block.text.encode(), f"{block.where}.yaml")
                shown |= set(written.value)
    assert {field.name for field in msgspec.structs.fields(PolicyFile)} - shown == DERIVED


def test_of_several_things_that_are_allowed_at_once_the_strictest_rules_hold() -> None:
    push = ApprovalRules(quorum=2, exclude_actors=("user_1",), ttl_seconds=600)
    opens = ApprovalRules(roles=("approver", "admin"), exclude_actors=("user_2", "user_1"), ttl_seconds=60)
    assert together([]) == ApprovalRules()
    assert together([push, opens]) == ApprovalRules(
        quorum=2, roles=("approver", "admin"), exclude_actors=("user_1", "user_2"), ttl_seconds=60
    )
    assert together([opens, ApprovalRules(roles=("admin",))]).roles == ("admin",)
    with pytest.raises(ValueError, match="no role"):
        together([ApprovalRules(roles=("approver",)), ApprovalRules(roles=("admin",))])
