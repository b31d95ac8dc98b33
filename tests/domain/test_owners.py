"""Who owns what, as CODEOWNERS says it: the examples of the forges' own pages, and what is no rule."""

import pytest

from runwright.domain.owners import RULES_MAX, read_owners

EXAMPLE = r"""
# This is a comment.
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/* docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
with\ space/ @spaced
"""


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("README.md", ("@global-owner1", "@global-owner2")),
        ("src/deep/app.js", ("@js-owner",)),
        ("main.go", ("docs@example.com",)),
        ("notes/a.txt", ("@octo-org/octocats",)),
        ("build/logs/today.log", ("@octocat",)),
        ("docs/getting-started.md", ("@doctocat",)),
        ("docs/build-app/troubleshooting.md", ("@doctocat",)),
        ("lib/apps/x.py", ("@octocat",)),
        ("scripts/run.sh", ("@doctocat", "@octocat")),
        ("deeply/nested/logs/x", ("@octocat",)),
        ("apps/web/x.py", ("@octocat",)),
        ("apps/github/x.py", ()),
        ("with space/x.py", ("@spaced",)),
    ],
)
def test_the_last_rule_that_is_for_a_path_decides_as_on_github(path: str, owners: tuple[str, ...]):
    assert read_owners(EXAMPLE).of(path) == owners


def test_a_star_at_the_end_is_for_files_of_that_directory_alone():
    owners = read_owners("docs/* @writers\n")
    assert (owners.of("docs/a.md"), owners.of("docs/deep/a.md"), owners.of("x/docs/a.md")) == (("@writers",), (), ())


def test_a_name_without_a_slash_is_for_files_and_directories_of_that_name_everywhere():
    owners = read_owners("vendor @ops\n/Makefile @build\na**b? @odd\n")
    told = [owners.of(path) for path in ("vendor", "a/vendor/x/y.py", "Makefile", "sub/Makefile", "aXbc", "vendors")]
    assert told == [("@ops",), ("@ops",), ("@build",), (), ("@odd",), ()]


def test_sections_decide_each_for_itself_and_their_owners_add_up():
    rules = "* @all\n\n[Database][2] @dba\n/sql/\n/sql/readme.md @docs\n"
    owners = read_owners(rules + "\n^[Docs] @writers\n*.md\n[database]\n/late/ @late\n")
    assert owners.of("sql/schema.sql") == ("@all", "@dba")
    assert owners.of("sql/readme.md") == ("@all", "@docs", "@writers")
    assert owners.of("late/x.md") == ("@all", "@late", "@writers"), "a section that is opened twice is one"
    assert owners.void == ()


def test_what_is_no_rule_is_left_out_and_told_with_its_line():
    owners = read_owners("!a @x\n[ab]*.py @y\nb somebody\n/ @z\nc @ok\nd\\e @w\n")
    assert [number for number, _ in owners.void] == [1, 2, 3, 4, 6]
    assert [rule.pattern for rule in owners.rules] == ["c"]
    many = read_owners("a @x\n" * (RULES_MAX + 5))
    assert (len(many.rules), [number for number, _ in many.void]) == (RULES_MAX, [RULES_MAX + 1])


def test_a_pattern_that_would_be_slow_elsewhere_is_matched_in_linear_time():
    owners = read_owners("a*" * 400 + "b @x\n")
    assert owners.of("a" * 4_000) == ()
