"""Quality gates: what a command's end means, twice where it was no, and what its report measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runwright.clock import SystemClock
from runwright.domain.gating import GateOutcome
from runwright.domain.policy_file import PolicyFile, read_policy
from runwright.domain.quality_gate import CoverageReport, QualityGate
from runwright.domain.redaction import Redactor
from runwright.gates.quality import GateBounds, run_gate, run_gates
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.child import NO_PROGRAM, NotStarted
from runwright.sandbox.command import Command, Ended, Hear
from runwright.sandbox.watch import Exceeded

BOUNDS = GateBounds(memory_bytes=1 << 28, cpus=1)
TESTS = QualityGate(id="tests", command=("run", "tests"))
SECRET = "ghp_" + "a1B2c3D4e5F6" * 3


class Bench:
    """A workspace whose commands end as the test says, one after the other."""

    def __init__(self, root: Path, ends: Sequence[int | Exceeded | Exception | None]) -> None:
        self.root = root
        self.commands: list[Command] = []
        self.put_back_after: list[int] = []
        self._ends = list(ends)

    @property
    def files(self) -> Beneath:
        """Return its files."""
        return Beneath(self.root, None)

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """End as it is said."""
        self.commands.append(command)
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        if isinstance(end, Exceeded):
            return Ended(None, "out", False, end)
        return Ended(end, f"said {SECRET}", False, None)

    async def put_back(self) -> None:
        """Count."""
        self.put_back_after.append(len(self.commands))


async def gate(bench: Bench, **more: Any) -> GateOutcome:
    """Run one gate in it."""
    terms = {"id": "tests", "command": ["run", "tests"], **more}
    policy = read_policy(str({"quality_gates": [terms]}).replace("'", '"').encode(), "p.json")
    (outcome,) = await run_gates(policy, bench, BOUNDS, Redactor(), SystemClock())
    return outcome


async def test_a_green_one_is_run_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [0])
    said = await gate(bench)
    assert (said.status, said.passed, len(said.tries), bench.put_back_after) == ("green", True, 1, [1])


async def test_k6_a_red_one_is_run_once_more_and_both_results_are_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1, 3])
    said = await gate(bench)
    assert (said.status, said.passed) == ("red", False)
    assert [each.exit_code for each in said.tries] == [1, 3]
    assert bench.put_back_after == [1, 2]


@pytest.mark.parametrize(("word", "passed"), [("red", False), ("green", True)])
async def test_k6_one_that_fails_and_then_does_not_is_flaky_and_counts_as_the_policy_says(
    tmp_path: Path, word: str, passed: bool
) -> None:
    said = await gate(Bench(tmp_path, [1, 0]), flaky=word)
    assert (said.status, said.passed) == ("flaky", passed)
    assert [each.status for each in said.tries] == ["red", "green"]
    assert (await gate(Bench(tmp_path, [1, 0]))).passed is False


@pytest.mark.parametrize(
    "end", [None, 126, 127, Exceeded("memory", 2, 1, "cgroup"), NotStarted(f"{NO_PROGRAM}run: no")], ids=str
)
async def test_what_could_not_run_is_not_green_and_not_tried_again(tmp_path: Path, end: Any) -> None:
    bench = Bench(tmp_path, [end])
    said = await gate(bench)
    assert (said.status, said.passed, len(said.tries)) == ("not_run", False, 1)
    assert bench.put_back_after == [1]


async def test_what_failed_to_run_the_second_time_is_not_run(tmp_path: Path) -> None:
    said = await gate(Bench(tmp_path, [1, None]))
    assert (said.status, [each.status for each in said.tries]) == ("not_run", ["red", "not_run"])


async def test_a_sandbox_that_does_not_work_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(NotStarted):
        await gate(Bench(tmp_path, [NotStarted("bwrap: no namespace")]))


async def test_one_that_may_not_be_retried_is_red_after_its_first_try(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1, 0])
    assert ((await gate(bench, retries=0)).status, len(bench.commands)) == ("red", 1)


@pytest.mark.parametrize(("left_s", "may", "tries"), [(None, True, 2), (5.0, True, 2), (5.0, False, 1)])
async def test_it_takes_no_longer_and_is_tried_no_oftener_than_there_is_left(
    tmp_path: Path, left_s: float | None, may: bool, tries: int
) -> None:
    bench = Bench(tmp_path, [1, 1])
    bounds = replace(BOUNDS, left_s=lambda: left_s, may_retry=lambda: may)
    said = await run_gate(TESTS, PolicyFile(), bench, bounds, Redactor(), SystemClock())
    assert (said.status, len(said.tries)) == ("red", tries)
    assert {each.timeout_s for each in bench.commands} == {left_s or TESTS.timeout}


async def test_what_it_said_is_kept_without_its_secrets(tmp_path: Path) -> None:
    said = await gate(Bench(tmp_path, [0]))
    assert said.tries[0].output == "said [redacted:github_token]"


async def test_its_report_of_coverage_is_read_before_the_tree_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "coverage.xml").write_text('<coverage line-rate="0.5">')
    assert (await gate(Bench(tmp_path, [0]), coverage={"file": "coverage.xml"})).coverage == 0.5


@pytest.mark.parametrize("file", ["none.xml", "link.xml", "bad.xml", "directory"])
async def test_a_report_that_is_not_there_or_leads_out_measures_nothing(tmp_path: Path, file: str) -> None:
    (tmp_path / "link.xml").symlink_to("/etc/passwd")
    (tmp_path / "bad.xml").write_text("<html>")
    (tmp_path / "directory").mkdir()
    said = await gate(Bench(tmp_path, [0]), coverage={"file": file})
    assert (said.status, said.coverage) == ("green", None)
    assert "report" in said.detail or "Cobertura" in said.detail or "coverage" in said.detail


async def test_a_report_is_not_read_above_the_tree_though_a_gate_names_it(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "x.xml").write_text('<coverage line-rate="0.5">')
    leads_out = replace(TESTS, coverage=CoverageReport(file="a/../../x.xml"))
    bench = Bench(tmp_path / "tree", [0])
    said = await run_gate(leads_out, PolicyFile(), bench, BOUNDS, Redactor(), SystemClock())
    assert (said.status, said.coverage) == ("green", None)
