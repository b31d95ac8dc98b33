"""Three real, weak projects: fixers and a scripted model repair them, gates stay green, and sabotage is refused."""

import pytest

from runwright.domain.finding import Finding
from runwright.domain.guards import refusals
from runwright.domain.policy_file import PolicyFile, read_policy
from runwright.fixers.apply import apply
from runwright.fixers.available import available
from runwright.sandbox.command import Command
from runwright.scanners.available import Scanners
from tests.fixers.projects import BOUNDS, LOOPS, NAMES, TOKEN, files, read, repair, sabotage
from tests.scanners.ground import BOUNDS as SCAN
from tests.scanners.ground import Tree

POLICY = ".runwright/policy.yaml"


def policy_of(name: str) -> PolicyFile:
    return read_policy(files(name)[POLICY].encode(), POLICY)


async def open_findings(tree: Tree, name: str) -> list[Finding]:
    policy, base = policy_of(name), {path: text.encode() for path, text in files(name).items()}
    chosen = Scanners().of_policy(policy, lambda at: {path: base[path] for path in base if path.startswith(at)})
    seen = await tree.look(*chosen)
    assert [
        report for report in seen.reports if report.status != "completed" and policy.scanner(report.scanner).required
    ] == []
    return [each for each in seen.findings if each.severity in policy.blocking]


async def is_green(tree: Tree, policy: PolicyFile) -> bool:
    for gate in policy.quality_gates:
        command = Command(gate.command, gate.timeout, 512 << 20, 1, 1 << 20, writable=False)
        if (await tree.run(command)).status != 0:
            return False
    return True


@pytest.mark.parametrize("name", NAMES)
async def test_fixers_and_a_scripted_model_repair_a_project(tree: Tree, name) -> None:
    policy = policy_of(name)
    tree.write(dict(files(name)))
    first = await open_findings(tree, name)
    assert len({each.rule_id for each in first}) >= 2
    assert len({source for each in first for source in each.sources}) >= 2
    assert await is_green(tree, policy) is (name != "library")
    fixed = 0
    for fixer in available(SCAN):
        patch = await fixer.propose(tree, await open_findings(tree, name), BOUNDS)
        if patch is not None:
            assert refusals(patch.before, patch.after, policy) == ()
            apply(patch, tree.files, BOUNDS)
            fixed += 1
    left = await open_findings(tree, name)
    assert fixed
    assert 0 < len(left) < len(first)
    patch = read(repair(name), tree.files)
    assert refusals(patch.before, patch.after, policy) == ()
    apply(patch, tree.files, BOUNDS)
    assert [(each.rule_id, each.file, each.line) for each in await open_findings(tree, name)] == []
    assert await is_green(tree, policy)


@pytest.mark.parametrize(("name", "guard"), [(name, guard) for name in NAMES for guard in sabotage(name)])
async def test_sabotage_of_a_project_is_refused_by_its_own_guard(tree: Tree, name, guard) -> None:
    tree.write(dict(files(name)))
    patch = read(sabotage(name)[guard], tree.files)
    told = {each.guard for each in refusals(patch.before, patch.after, policy_of(name))}
    assert guard in told
    assert told <= {guard, "path_out_of_scope"}


def test_no_token_stands_in_the_repository() -> None:
    assert [path for path in LOOPS.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []
    assert any(TOKEN in text for text in files("service").values())


def test_every_guard_that_a_policy_does_not_size_has_its_sabotage() -> None:
    told = {guard for name in NAMES for guard in sabotage(name)}
    assert told == {
        "test_deleted", "test_skipped", "assertions_removed", "threshold_lowered", "suppression_added", "gate_edited",
        "policy_edited", "path_out_of_scope",
    }  # fmt: skip
