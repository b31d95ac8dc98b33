"""Gates stay as strict as they are: thresholds, suppressions, pipelines, and what they run."""

import json
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.guards import SWITCHES, refusals
from tests.domain.test_guards import IGNORE, OFF, POLICY, SKIP, guards, said

PYPROJECT = """[project]
name = "app"
dependencies = ["requests==2.19.0"]

[tool.coverage.run]
branch = true
source = ["app"]

[tool.coverage.report]
fail_under = 80
omit = ["a.py"]

[tool.mypy]
strict = true
enable_error_code = ["deprecated"]

[[tool.mypy.overrides]]
module = ["tests.*"]
disallow_untyped_defs = true

[tool.ruff.lint]
select = ["E", "F", "S"]
ignore = ["E501"]

[tool.ruff.lint.mccabe]
max-complexity = 10

[tool.ruff.lint.per-file-ignores]
"tests/**" = ["S101"]

[tool.bandit]
skips = ["B101"]

[tool.pytest.ini_options]
addopts = "-q --strict-markers --cov-fail-under=80"
testpaths = ["tests"]
xfail_strict = true
"""
TSCONFIG = """{
  // strict
  "compilerOptions": {"strict": true, "noImplicitAny": true, "skipLibCheck": false,},
  "include": ["src"],
}
"""
ESLINT = '{"rules": {"no-eval": "error", "no-console": ["warn", {"allow": []}]}, "ignorePatterns": ["dist"]}'
PACKAGE = json.dumps({
    "name": "app",
    "scripts": {"test": "jest --ci", "start": "node ."},
    "jest": {"coverageThreshold": {"global": {"lines": 80}}},
})  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "guard"),
    [
        ("fail_under = 80", "fail_under = 70", "threshold_lowered"),
        ("fail_under = 80\n", "", "threshold_lowered"),
        ("branch = true", "branch = false", "threshold_lowered"),
        ('source = ["app"]', "source = []", "threshold_lowered"),
        ("strict = true\nenable", "strict = false\nenable", "threshold_lowered"),
        ("strict = true\nenable", "enable", "threshold_lowered"),
        ('["deprecated"]', "[]", "threshold_lowered"),
        ("disallow_untyped_defs = true", "disallow_untyped_defs = false", "threshold_lowered"),
        ("disallow_untyped_defs = true", "ignore_errors = true", "threshold_lowered"),
        ('select = ["E", "F", "S"]', 'select = ["E", "F"]', "threshold_lowered"),
        ('select = ["E", "F", "S"]\n', "", "threshold_lowered"),
        ('ignore = ["E501"]', 'ignore = ["E501", "S602"]', "threshold_lowered"),
        ("max-complexity = 10", "max-complexity = 30", "threshold_lowered"),
        ("max-complexity = 10\n", "", "threshold_lowered"),
        ('skips = ["B101"]', 'skips = ["B101", "B602"]', "threshold_lowered"),
        ("xfail_strict = true", "xfail_strict = false", "threshold_lowered"),
        ("--cov-fail-under=80", "--cov-fail-under=10", "threshold_lowered"),
        ("--cov-fail-under=80", "", "threshold_lowered"),
        ('testpaths = ["tests"]', 'testpaths = ["no"]', "threshold_lowered"),
        ('"tests/**" = ["S101"]', '"tests/**" = ["S101"]\n"app.py" = ["S602"]', "suppression_added"),
        ('"tests/**" = ["S101"]', '"tests/**" = ["S101", "S602"]', "suppression_added"),
        ('omit = ["a.py"]', 'omit = ["a.py", "app/*"]', "suppression_added"),
        ("[tool.ruff.lint]", '[tool.ruff]\nexclude = ["app.py"]\n[tool.ruff.lint]', "suppression_added"),
        ('addopts = "-q', 'addopts = "-q -k fast', "test_skipped"),
        ('addopts = "-q', 'addopts = "-q --deselect=tests/test_a.py::test_b', "test_skipped"),
        ('addopts = "-q', f'addopts = "-q --{IGNORE}=tests/slow', "test_skipped"),
        ('addopts = "-q', 'addopts = "-q --noconftest', "gate_edited"),
        ("xfail_strict = true", 'xfail_strict = true\nconfcutdir = "/"', "gate_edited"),
        ('name = "app"', 'name = "app', "gate_edited"),
    ],
)
def test_configuration_of_python_is_not_weakened(old, new, guard) -> None:
    assert old in PYPROJECT
    before, after = {"pyproject.toml": PYPROJECT}, {"pyproject.toml": PYPROJECT.replace(old, new)}
    assert guard in guards(before, after)
    assert said(before, after, OFF) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fail_under = 80", "fail_under = 90"),
        ("max-complexity = 10", "max-complexity = 8"),
        ('select = ["E", "F", "S"]', 'select = ["E", "F", "S", "B"]'),
        ('select = ["E", "F", "S"]', 'select = ["ALL"]'),
        ('ignore = ["E501"]', "ignore = []"),
        ('skips = ["B101"]\n', ""),
        ("requests==2.19.0", "requests==2.32.4"),
        ('"tests/**" = ["S101"]', ""),
        ("xfail_strict = true", "xfail_strict = true\nfilterwarnings = ['error']"),
        ("[tool.mypy]", "[tool.mypy]\nwarn_unreachable = true"),
        ("--cov-fail-under=80", "--cov-fail-under=85"),
    ],
)
def test_configuration_of_python_may_be_made_stricter(old, new) -> None:
    assert old in PYPROJECT
    found = said({"pyproject.toml": PYPROJECT}, {"pyproject.toml": PYPROJECT.replace(old, new)})
    assert found <= ({("gate_edited", "pyproject.toml")} if "cov-fail" in old else set())


def test_a_setting_may_move_to_another_file() -> None:
    before = {"mypy.ini": "[mypy]\nstrict = true\n", "pyproject.toml": ""}
    assert said(before, {"pyproject.toml": "[tool.mypy]\nstrict = true\n"}) == set()
    assert guards(before, {"pyproject.toml": ""}) == {"threshold_lowered"}
    assert guards(
        before, {"mypy.ini": "[mypy]\nstrict = true\n[mypy-app.*]\nignore_errors = true\n", "pyproject.toml": ""}
    ) == {"threshold_lowered"}
    assert guards({}, {".flake8": "[flake8]\nper-file-ignores = app.py:E501\n"}) == {"suppression_added"}


@pytest.mark.parametrize(
    ("path", "text", "old", "new", "guard"),
    [
        ("tsconfig.json", TSCONFIG, '"strict": true', '"strict": false', "threshold_lowered"),
        ("tsconfig.json", TSCONFIG, '"strict": true, ', "", "threshold_lowered"),
        ("tsconfig.json", TSCONFIG, '"skipLibCheck": false', '"skipLibCheck": true', "threshold_lowered"),
        ("tsconfig.json", TSCONFIG, '"include": ["src"]', '"include": []', "threshold_lowered"),
        (
            "tsconfig.json",
            TSCONFIG,
            '"include": ["src"]',
            '"include": ["src"], "exclude": ["src/a"]',
            "suppression_added",
        ),
        ("tsconfig.json", TSCONFIG, "{\n", "[\n", "gate_edited"),
        (".eslintrc.json", ESLINT, '"error"', '"off"', "threshold_lowered"),
        (".eslintrc.json", ESLINT, '"error"', '"warn"', "threshold_lowered"),
        (".eslintrc.json", ESLINT, '"no-eval": "error", ', "", "threshold_lowered"),
        (".eslintrc.json", ESLINT, '["warn"', '["off"', "threshold_lowered"),
        (".eslintrc.json", ESLINT, '"rules": {', '"rules": {"eqeqeq": 0, ', "threshold_lowered"),
        (".eslintrc.json", ESLINT, '["dist"]', '["dist", "src"]', "suppression_added"),
        ("package.json", PACKAGE, "jest --ci", "true", "gate_edited"),
        ("package.json", PACKAGE, "jest --ci", "jest --ci --passWithNoTests", "test_skipped"),
        ("package.json", PACKAGE, '"start"', '"pretest": "rm -r src", "start"', "gate_edited"),
        ("package.json", PACKAGE, '"lines": 80', '"lines": 8', "threshold_lowered"),
        ("package.json", PACKAGE, '"start": "node ."', '"start": "node app"', "gate_edited"),
        ("check.yml", "run: eslint --max-warnings=0 src", "=0", "=99", "threshold_lowered"),
        ("check.yml", "run: interrogate --fail-under 90 src", " --fail-under 90", "", "threshold_lowered"),
    ],
)
def test_configuration_of_others_is_not_weakened(path, text, old, new, guard) -> None:
    assert old in text
    assert guard in guards({path: text}, {path: text.replace(old, new, 1)})
    assert said({path: text}, {path: text.replace(old, new, 1)}, OFF) == set()


def test_configuration_of_others_may_be_made_stricter() -> None:
    more = {"package.json": PACKAGE.replace('"name"', '"dependencies": {"a": "2"}, "name"')}
    assert said({"package.json": PACKAGE}, more) == set()
    more = {"package.json": PACKAGE.replace('"start"', '"docs": "x", "start"')}
    assert said({"package.json": PACKAGE}, more) == set()
    assert said({".eslintrc.json": ESLINT}, {".eslintrc.json": ESLINT.replace('["warn"', '["error"')}) == set()
    assert said({"package.json": PACKAGE}, {"package.json": PACKAGE.replace('"lines": 80', '"lines": 90')}) == set()
    assert (
        said({"package.json": PACKAGE}, {"package.json": PACKAGE.replace('"start"', '"docs": "x", "start"')}) == set()
    )
    assert (
        said(
            {"package.json": PACKAGE}, {"package.json": PACKAGE.replace('"name"', '"dependencies": {"a": "2"}, "name"')}
        )
        == set()
    )


CODE = "import subprocess\n\n\ndef run(cmd):\n    subprocess.call(cmd, shell=True)  # the shell is needed\n"
CALL = "shell=True)"


@pytest.mark.parametrize(
    "remark",
    ["# noqa", "# noqa: S602", "# no" + "sec", "# no" + "sec B602", f"# type: {IGNORE}", f"# type: {IGNORE}[arg-type]",
     "# pragma: no cover", "# pylint: disable=all", "# ruff: noqa", "# mypy: ignore-errors", "# nosemgrep: rule",
     "# NOQA",
     "# pyright: basic", "# why not  # noqa", "# zizmor: ignore[unpinned-uses]", "# gitleaks:allow",
     "# pragma: allowlist secret", "// eslint-disable-next-line", "/* eslint-disable */", "// @ts-ignore",
     "//nolint:all", "/* istanbul ignore next */", "<!-- checkov:skip=CKV -->", "# NOSONAR", "-- noqa",
     "# ast-grep-ignore"],
)  # fmt: skip
def test_nothing_is_hidden_by_a_remark(remark) -> None:
    after = CODE.replace(CALL, f"{CALL}  {remark}")
    assert [(each.guard, each.line) for each in refusals({"app.py": CODE}, {"app.py": after}, POLICY)] == [
        ("suppression_added", 5)
    ]
    assert said({"app.py": CODE}, {"app.py": CODE, "new.ts": f"x {remark}\n"}) == {("suppression_added", "new.ts")}
    assert said({"app.py": CODE}, {"app.py": after}, OFF) == set()
    assert said({"app.py": after}, {"app.py": CODE}) == set()
    assert said({"app.py": after}, {"app.py": after.replace("def run", "x = 1\n\n\ndef run")}) == set()
    assert said({"app.py": after}, {"lib/app.py": after}) == set()


@pytest.mark.parametrize(
    ("was", "now", "refused"),
    [
        ("# noqa: S602", "# noqa", True),
        ("# noqa: S602", "# noqa: S602, S603", True),
        ("# noqa: S602", "# noqa: S603", True),
        ("# noqa", "# noqa: S602", False),
        ("# noqa: S602, S603", "# noqa: S602", False),
        ("# noqa: S602", "# noqa:  S602", False),
        ("# a noqa that is none", "# another noqa", True),
        ("# the shell", "# the noqadle", False),
    ],
)
def test_a_remark_may_hide_less_than_before(was, now, refused) -> None:
    before, after = {"app.py": f"x = 1  {was}\n"}, {"app.py": f"x = 1  {now}\n"}
    assert bool(guards(before, after)) is refused


def test_words_that_hide_nothing_are_no_suppressions() -> None:
    assert said({}, {"docs/lint.md": "Write # noqa: S602 there.\n"}) == set()
    assert said({}, {"app.py": "noqa = 'x'\nmessage = 'nosec'\n"}) == set()


@pytest.mark.parametrize(
    "path",
    [".semgrepignore", "sub/.semgrepignore", ".banditrc", ".bandit", ".gitleaksignore", ".eslintignore", "zizmor.yml",
     ".github/zizmor.yml", "osv-scanner.toml", ".secrets.baseline", ".runwright/suppressions.yaml",
     ".Runwright/Suppressions.yml"],
)  # fmt: skip
def test_no_list_of_what_is_not_looked_at_grows(path) -> None:
    assert said({}, {path: "[a]\nx=1\n"}) == {("suppression_added", path)}
    assert said({path: "[a]\nb=1\n"}, {path: "[a]\nb=1\nc=2\n"}) == {("suppression_added", path)}
    assert said({path: "[a]\nb=1\n"}, {path: "[a]\n"}) == set()
    assert said({path: "[a]\n"}, {}) == set()
    assert said({}, {path: "[a]\nx=1\n"}, OFF) == set()


MAKE = """RUN := python

all: build

verify: lint ## check
	$(RUN) -m pytest

lint:
	ruff check .

serve:
	flask run --debug
"""


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("Makefile", MAKE, MAKE.replace("-m pytest", "-c pass")),
        ("Makefile", MAKE, MAKE.replace("ruff check .", "true")),
        ("Makefile", MAKE, MAKE.replace("verify: lint", "verify:")),
        ("Makefile", MAKE, MAKE.replace("RUN := python", "RUN := true")),
        ("Makefile", MAKE, "SHELL := /bin/true\n" + MAKE),
        ("Makefile", MAKE, MAKE + "\nverify:\n\ttrue\n"),
        ("Makefile", MAKE, MAKE + "\ninclude other.mk\n"),
        ("Makefile", MAKE, None),
        ("scripts/check.sh", "ruff .", "true"),
        ("tools/gate.py", "import sys", ""),
        ("conftest.py", None, "x = 1\n"),
        ("tests/conftest.py", "x = 1\n", "x = 2\n"),
        ("sitecustomize.py", None, "x = 1\n"),
        ("lib/x.pth", None, "import os"),
        ("noxfile.py", "a", "b"),
        ("jest.config.js", "a", "b"),
        ("tox.ini", "[testenv]\ncommands = pytest\n", "[testenv]\ncommands = true\n"),
        ("pytest.ini", None, "[pytest]\naddopts = -q\n"),
        ("setup.cfg", "[metadata]\nname = a\n", "[metadata]\nname = a\n[tool:pytest]\naddopts = -q\n"),
        (".gitlab-ci.yml", "a: 1", "a: 2"),
        (".github/workflows/ci.yml", "jobs: {}", None),
        (".github/workflows/new.yml", None, "jobs: {}"),
        (".pre-commit-config.yaml", "a: 1", "a: 2"),
        (".github/CODEOWNERS", "* @a", ""),
    ],
)
def test_no_gate_is_changed(path, before, after) -> None:
    old, new = ({} if each is None else {path: each} for each in (before, after))
    assert "gate_edited" in guards(old, new)
    assert said(old, new, OFF) == set()


def test_what_no_gate_runs_may_be_changed() -> None:
    assert said({"Makefile": MAKE}, {"Makefile": MAKE.replace(" --debug", "")}) == set()
    assert said({"Makefile": MAKE}, {"Makefile": MAKE + "\nclean:\n\trm -r build\n"}) == set()
    assert said({"Makefile": MAKE}, {"Makefile": MAKE.replace("## check", "## check all")}) == set()
    assert said({"scripts/other.sh": "a"}, {"scripts/other.sh": "b"}) == set()
    assert said({"setup.cfg": "[metadata]\nname = a\n"}, {"setup.cfg": "[metadata]\nname = b\n"}) == set()


WORKFLOW = """on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make verify
"""
SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
PINNED = WORKFLOW.replace("checkout@v4", f"checkout@{SHA} # v4").replace(
    "jobs:", "permissions:\n  contents: read\njobs:"
)


def test_a_workflow_may_be_hardened_and_nothing_else() -> None:
    path = ".github/workflows/ci.yml"
    assert said({path: WORKFLOW}, {path: PINNED}) == set()
    with_no_credentials = PINNED.replace(" # v4\n", " # v4\n        with:\n          persist-credentials: false\n")
    assert said({path: WORKFLOW}, {path: with_no_credentials}) == set()
    for old, new in (
        ("make verify", "true"),
        ("contents: read", "contents: write"),
        ("contents: read", "write-all"),
        ("actions/checkout", "evil/checkout"),
        (f"@{SHA} # v4", "@main"),
        ("on: push", "on: pull_request_target"),
        ("      - run: make verify\n", ""),
        ("      - run: make verify\n", "      - run: make verify\n        continue-on-error: true\n"),
    ):
        assert guards({path: WORKFLOW}, {path: PINNED.replace(old, new)}) == {"gate_edited"}, new
    assert guards({path: PINNED}, {path: WORKFLOW}) == {"gate_edited"}


def test_a_policy_switches_off_what_it_names_and_nothing_else() -> None:
    always = {"policy_edited", "path_out_of_scope", "too_many_files", "diff_too_large", "binary_change"}
    assert set(SWITCHES) & always == set()
    assert len(set(SWITCHES) | always) == 11


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/test_a.py", "def test_a():\n    assert " + "(" * 150_000),
        ("tests/test_a.py", "x = " + "-" * 390_000 + "1"),
        ("tests/test_a.py", "".join(f"def test_{n}(): assert {n}\n" for n in range(12_000))),
        ("a.test.js", "/*" * 400_000),
        ("a.test.js", "it(" * 250_000),
        ("tsconfig.json", '"' + '\\"' * 190_000),
        ("tsconfig.json", "/*" * 190_000),
        ("tsconfig.json", "[" * 300_000),
        ("pyproject.toml", "a = " + "[" * 300_000),
        ("pyproject.toml", "a." * 100_000 + "b = 1"),
        ("setup.cfg", "[a]\n" + "b = 1\n c\n" * 30_000),
        ("app.js", ("#" * 3999 + "\n") * 250),
        ("app.js", "# noqa " * 140_000),
        ("Makefile", "a b " * 250_000),
        ("Makefile", "a:a\n" * 100_000),
        (".github/workflows/a.yml", "uses: a/" * 100_000),
    ],
)
def test_hostile_files_are_read_in_a_moment(path, text) -> None:
    began = process_time()
    refusals({}, {path: text}, POLICY)
    refusals({path: text}, {path: text + "x"}, POLICY)
    assert process_time() - began < 6


def test_a_test_that_is_skipped_by_configuration_is_told_of_once() -> None:
    found = refusals({"pytest.ini": "[pytest]\n"}, {"pytest.ini": f"[pytest]\naddopts = --{IGNORE}=tests\n"}, POLICY)
    assert sorted(each.guard for each in found) == ["gate_edited", f"test_{SKIP}ped"]


PATHS = (
    "tests/test_a.py", "app.py", "conftest.py", "a.test.ts", "a_test.go", "src/a.rs", "spec/a_spec.rb", "setup.cfg",
    "pyproject.toml", "tox.ini", "tsconfig.json", "package.json", ".eslintrc.json", "ruff.toml", "Makefile", ".bandit",
    ".github/workflows/a.yml", ".coveragerc",
)  # fmt: skip
WORDS = st.sampled_from([
    "def test_a():\n", "    assert ", "x", "==", "1", "\n", "    ", "\t", "class Test:", "@", "if False:", "return",
    "[", "]", "{", "}", '"', "'", ":", "=", "# noqa", "[tool.mypy]", "strict", "true", "[mypy]", "%", "\\", "it(",
    "expect(", "/*", "\r", "\x0c", "é", "uses: a/b@v1", "all: b", "export", "[[a]]", "a.b", "1e999", "-", "lambda",
    "*", "...", "\x00",
])  # fmt: skip
TEXT = st.lists(WORDS, max_size=30).map("".join)


@given(path=st.sampled_from(PATHS), before=TEXT | st.none(), after=TEXT | st.none())
@settings(max_examples=300, deadline=None)
def test_no_text_is_too_strange_to_be_guarded(path, before, after) -> None:
    old, new = ({} if text is None else {path: text} for text in (before, after))
    found = refusals(old, new, POLICY)
    assert found == refusals(old, new, POLICY)
    assert refusals(old, old, POLICY) == ()
    fresh = {"tests/test_fresh.py": "def test_it():\n    assert f() == 1\n"}
    assert [refusals(held, held | fresh, POLICY) for held in (old, new)] == [(), ()]
