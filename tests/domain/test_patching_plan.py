"""What is tried next by owner: the findings of the same people together, the gravest first, whoever patches."""

from msgspec.structs import replace

from runwright.domain.loop_course import tried_as
from runwright.domain.loop_terms import LoopTerms, Strategy
from runwright.domain.patching_plan import Bench, plan
from tests.domain.looping import finding

BARE = (
    finding("a", "P2", "web/a.py"),
    finding("b", "P1", "web/legacy/b.py"),
    finding("c", "P0", "web/c.py"),
    finding("d", "P1", "lib/d.py"),
    finding("e", "P1", "lib/e.py"),
    finding("f", "P2", "bin/f.py"),
    finding("g", "P3", "web/x.sql"),
)
OWNERS = {"web/a.py": ("@web",), "web/legacy/b.py": ("@old",), "web/c.py": ("@web",), "web/x.sql": ("@data", "@web")}
FINDINGS = tuple(replace(each, owners=OWNERS.get(each.file, ())) for each in BARE)
TERMS = LoopTerms(strategy=Strategy(batch="by_owner"))
BENCH = Bench(model=True, findings=FINDINGS)


def tries(bench: Bench, terms: LoopTerms = TERMS) -> list[tuple[str, tuple[str, ...], str]]:
    """Return what is tried, one after the other, if all comes to nothing."""
    tried: dict[str, int] = {}
    found = []
    while (attempt := plan(bench, tried, terms)) is not None:
        key = tried_as(attempt.patcher, attempt.batch.key)
        if key in tried and attempt.patcher == "llm":
            break
        tried[key] = tried.get(key, 0) + 1
        found.append((attempt.patcher, attempt.batch.owners, "".join(attempt.batch.targeted)))
    return found


def test_a_model_is_given_what_belongs_to_the_same_people_and_what_nobody_owns_by_directory():
    assert tries(BENCH) == [
        ("llm", ("@web",), "ca"),
        ("llm", (), "de"),
        ("llm", ("@old",), "b"),
        ("llm", (), "f"),
        ("llm", ("@data", "@web"), "g"),
    ]


def test_a_fixer_is_given_the_same_and_then_smaller_parts_of_it_which_have_the_same_owners():
    alone = replace(BENCH, fixers=("ruff",), model=False, findings=FINDINGS[:3])
    told = tries(alone)
    assert told == [
        ("ruff", ("@web",), "ca"),
        ("ruff", ("@web",), "c"),
        ("ruff", ("@web",), "a"),
        ("ruff", ("@old",), "b"),
    ]


def test_an_owner_of_more_files_than_a_patch_may_change_has_several_batches():
    terms = LoopTerms(strategy=Strategy(batch="by_owner", max_files_per_patch=1))
    assert [targeted for _, _, targeted in tries(replace(BENCH, findings=FINDINGS[:3]), terms)] == ["c", "a", "b"]


def test_without_a_file_that_says_who_owns_what_batches_go_by_directory():
    bare = Bench(model=True, findings=BARE)
    assert [(owners, targeted) for _, owners, targeted in tries(bare)] == [
        ((), "cag"),
        ((), "de"),
        ((), "b"),
        ((), "f"),
    ]


def test_files_of_several_owners_that_are_told_by_the_same_name_are_not_put_together():
    told = "[redacted:known]/a.py"
    one = replace(finding("a", "P1", told), owners=("@web",))
    other = replace(finding("b", "P1", told), owners=("@old",))
    assert tries(replace(BENCH, findings=(one, other))) == [("llm", ("@web",), "a"), ("llm", ("@old",), "b")]
