"""Lock files and lists of requirements: what they pin, at which line, and what they leave loose."""

import pytest

from runwright.domain.manifests import NotRead, locks, reader_of

UV = """version = 1

[[package]]
name = "flask"
version = "2.0.1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "mine"
version = "0.1"
source = { editable = "." }
"""
NPM = """{
  "name": "site",
  "lockfileVersion": 3,
  "packages": {
    "": {"name": "site", "version": "1.0.0"},
    "node_modules/lodash": {
      "version": "4.17.20"
    },
    "node_modules/a/node_modules/@scope/b": {
      "version": "1.0.0"
    },
    "node_modules/mine": {"resolved": "packages/mine", "link": true},
    "node_modules/alias": {
      "name": "real",
      "version": "2.0.0"
    },
    "node_modules/git": {"version": "git+ssh://x"}
  }
}
"""
NPM_1 = """{
  "lockfileVersion": 1,
  "dependencies": {
    "lodash": {
      "version": "4.17.20",
      "dependencies": {
        "inner": {
          "version": "1.0.0"
        }
      }
    }
  }
}
"""
REQUIREMENTS = """# what we need
Flask==2.0.1  # pinned
requests[socks]==2.0 ; python_version > "3"
-r other.txt
--index-url https://example.org
jinja2==3.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
django>=3
numpy==1.*
-e ./mine
https://example.org/x.whl
click === 8.0
"""


@pytest.mark.parametrize(
    ("path", "text", "pinned", "loose"),
    [
        (
            "requirements.txt",
            REQUIREMENTS,
            [("Flask", "2.0.1", 2), ("requests", "2.0", 3), ("jinja2", "3.0", 6), ("click", "8.0", 13)],
            4,
        ),
        ("deploy/requirements/prod.txt", "a==1\n", [("a", "1", 1)], 0),
        ("requirements-dev.in", "a\n", [], 1),
        ("uv.lock", UV, [("flask", "2.0.1", 4)], 0),
        ("sub/poetry.lock", '[[package]]\nname = "a"\nversion = "1.0"\n', [("a", "1.0", 2)], 0),
        ("pylock.toml", '[[packages]]\nname = "a"\nversion = "1.0"\n[[packages]]\nname = "b"\n', [("a", "1.0", 2)], 1),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["a==1.0", "b>2"]\n[dependency-groups]\ndev = ["c==3", {include-group="x"}]\n',
            [("a", "1.0", 2), ("c", "3", 4)],
            1,
        ),
        ("web/package-lock.json", NPM, [("lodash", "4.17.20", 6), ("@scope/b", "1.0.0", 9), ("real", "2.0.0", 13)], 1),
        ("package-lock.json", NPM_1, [("lodash", "4.17.20", 4), ("inner", "1.0.0", 7)], 0),
        ("package-lock.json", "{}", [], 0),
    ],
)
def test_what_is_pinned_is_read_with_its_line(path: str, text: str, pinned: list[tuple[str, str, int]], loose: int):
    reader = reader_of(path)
    assert reader is not None
    found = reader(text)
    assert [(each.name, each.version, each.line) for each in found.pinned] == pinned
    assert found.loose == loose


@pytest.mark.parametrize("path", ["a.md", "package.json", "uv.lock.bak", "requirements/b.py"])
def test_other_files_are_no_manifests(path: str):
    assert reader_of(path) is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("uv.lock", "["),
        ("uv.lock", "package = 3"),
        ("uv.lock", "[[package]]\nversion = '1'\n"),
        ("pyproject.toml", "a = "),
        ("package-lock.json", "{"),
        ("package-lock.json", "[]"),
        ("package-lock.json", '{"dependencies":' + '{"a":{"dependencies":' * 60 + "{}" + "}}" * 60 + "}"),
        ("package-lock.json", "[" * 100_000),
    ],
)
def test_what_cannot_be_read_is_told(path: str, text: str):
    reader = reader_of(path)
    assert reader is not None
    with pytest.raises(NotRead):
        reader(text)


def test_a_project_is_pinned_by_the_locks_beside_it():
    assert "sub/uv.lock" in locks("sub/pyproject.toml")
    assert locks("uv.lock") == ()
