"""Patterns of paths: what they are for, and that none of them takes long."""

import pytest

from runwright.domain.globs import matches, require_glob


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.py", ["a.py", "src/deep/a.py", ".py"], ["a.pyc", "a.py/x"]),
        ("src/**", ["src/a", "src/a/b", "src/.git"], ["src", "xsrc/a", "a/src/b"]),
        ("src/", ["src/a/b"], ["src", "a/src/b"]),
        ("**/migrations/**", ["migrations/a", "a/b/migrations/c/d"], ["migrations", "a/migrationsx/b"]),
        ("src/*.py", ["src/a.py"], ["src/a/b.py"]),
        ("a?c", ["abc", "x/aäc"], ["ac", "a/c"]),
        ("**", ["a", "a/b"], []),
        (".github/**", [".github/workflows/x.yml"], ["xgithub/a", "a/.github/b"]),
        ("a+(b).py", ["a+(b).py"], ["aab.py"]),
        ("docs/**/a.md", ["docs/a.md", "docs/x/y/a.md"], ["docs/xa.md"]),
        ("with space/*", ["with space/x\ny"], ["with space/x/y"]),
    ],
)
def test_a_pattern_is_for_what_it_says(glob: str, yes: list[str], no: list[str]) -> None:
    require_glob(glob)
    assert [path for path in yes if not matches((glob,), path)] == []
    assert [path for path in no if matches((glob,), path)] == []


@pytest.mark.parametrize("glob", ["/src/**", "../x", "a//b", "[ab].py", "{a,b}", "!x", "a\\b", "  ", "a\0b"])
def test_what_would_mean_something_else_elsewhere_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        require_glob(glob)


def test_no_pattern_is_for_nothing() -> None:
    assert not matches((), "a")


def test_many_stars_take_no_time() -> None:
    assert not matches(("**/" * 60 + "b",), "a/" * 500 + "a")
