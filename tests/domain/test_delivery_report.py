"""What a pull request says of its tree: numbers and names of the tree that it brings, and no word of the repository."""

from msgspec.structs import replace

from runwright.domain.course import Course
from runwright.domain.delivery_report import ITERATIONS_TOLD, report
from runwright.domain.delivery_terms import Author, DeliveryTerms, PullRequestTerms, identity
from runwright.domain.loop_course import Iteration, LoopCourse
from runwright.domain.loop_events import Outcome, PatchFacts, Standing
from runwright.domain.verdict import GateStanding
from runwright.domain.workspace import WorkspaceSnapshot


def standing(**findings: int) -> Standing:
    return Standing(findings=findings, targeted=findings, coverage={}, complete=True)


def iteration(n: int, outcome: Outcome) -> Iteration:
    facts = PatchFacts(patcher="ruff", sha256="d", files=1, added=2, removed=3)
    return Iteration(
        n=n,
        began_at=0,
        ended_at=1,
        patcher="ruff",
        targeted=(),
        outcome=outcome,
        why="",
        tree_hash="t",
        patch=facts,
        fixed_findings=4,
    )


def test_a_loop_tells_what_it_kept_and_what_the_tree_is_like_now():
    loop = LoopCourse(
        start=standing(P1=2, P2=1),
        standing=standing(P2=1),
        gates=(GateStanding("tests", "Tests", "green", True),),
        iterations=(iteration(1, "reverted"), iteration(2, "kept")),
    )
    assert report(Course(loop=loop)).split("\n") == [
        "| Findings | before | after |",
        "|---|---:|---:|",
        "| P1 | 2 | 0 |",
        "| P2 | 1 | 1 |",
        "",
        "- `ruff`, findings fixed: 4 (files: 1, lines: +2 −3)",
        "",
        "Gates of this tree: `tests` green.",
        "",
        "",
    ]


def test_many_iterations_are_counted():
    kept = tuple(iteration(n, "kept") for n in range(ITERATIONS_TOLD + 5))
    told = report(Course(loop=LoopCourse(start=standing(), standing=standing(), iterations=kept)))
    assert (told.count("`ruff`"), "- and 5 more" in told) == (ITERATIONS_TOLD, True)


def test_a_gate_that_looked_at_another_tree_is_not_told():
    gates = (
        GateStanding("old", "Old", "green", True, tree_hash="before"),
        GateStanding("a`b\nc", "New", "green", True, tree_hash="now"),
    )
    snapshot = WorkspaceSnapshot(archive_sha256="d", tree_hash="now", files=1, bytes=1)
    assert report(Course(gates=gates, snapshot=snapshot)) == "Gates of this tree: `a'b c` green.\n\n"
    assert report(Course()) == ""


def test_other_words_of_the_same_report_make_no_other_delivery():
    asked = PullRequestTerms(title="t", body="as told today", body_template="{report}")
    terms = DeliveryTerms(
        run_id="run_1",
        snapshot=WorkspaceSnapshot(archive_sha256="d", tree_hash="now", files=1, bytes=1),
        laid_hash="before",
        base_sha=None,
        actions=("commit", "push", "open_pr"),
        message="m",
        author=Author(),
        at_s=0,
        branch="fix",
        pull_request=asked,
    )
    later = replace(terms, pull_request=replace(asked, body="as told tomorrow"))
    other = replace(terms, pull_request=replace(asked, body_template="{objective}"))
    assert identity(terms) == identity(later) != identity(other)
