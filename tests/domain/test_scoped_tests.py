"""Which tests belong to a change: by the policy, by their names, and all of them where nobody knows."""

import pytest

from runwright.domain.scoped_tests import NAMED_MAX, Belonging, ScopedTests, in_scope, named

TREE = ("src/app.py", "src/db.py", "tests/test_app.py", "tests/db/db_test.py", "web/app.test.ts", "tests/conftest.py")
RULES = ScopedTests(command=("pytest",), map=(Belonging(paths=("src/db.py",), tests=("tests/db/**",)),))
NAMED = ("tests/test_app.py", "web/app.test.ts")


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        (["src/app.py"], NAMED),
        (["src/db.py"], ("tests/db/db_test.py",)),
        (["src/app.py", "src/db.py"], ("tests/db/db_test.py", *NAMED)),
        (["tests/test_app.py"], ("tests/test_app.py",)),
        (["tests/test_gone.py"], ()),
        (["README.md", "docs/a.png"], ()),
        ([], ()),
        (["src/nobody.py"], None),
        (["tests/conftest.py"], None),
        (["Makefile"], None),
        (["README.md", "setup.cfg"], None),
        (["src/app.py", ".github/x"], None),
    ],
)
def test_to_a_change_belong_the_tests_that_are_named_for_it_and_all_where_nobody_knows(changed, tests):
    assert in_scope(RULES, changed, TREE) == tests


def test_of_more_tests_than_a_command_is_given_all_are_run():
    many = [f"tests/test_{number}.py" for number in range(NAMED_MAX + 1)]
    assert in_scope(RULES, many, many) is None
    assert in_scope(RULES, many[1:], many) is not None


def test_no_name_is_taken_for_an_option():
    assert named(["-x_test.py", "a_test.py"]) == ("./-x_test.py", "a_test.py")
