"""A patch that makes a gate pass without mending anything is refused by the guard that it is the matter of."""

import pytest
from msgspec.structs import replace

from runwright.domain.globs import Scope
from runwright.domain.guards import refusals
from runwright.domain.policy_file import PolicyFile
from runwright.domain.policy_terms import TamperGuards
from runwright.domain.quality_gate import QualityGate

POLICY = PolicyFile(
    quality_gates=(
        QualityGate(id="tests", command=("python", "-m", "pytest", "-q", "tests/test_app.py")),
        QualityGate(id="make", command=("make", "verify")),
        QualityGate(id="script", command=("./scripts/check.sh",)),
        QualityGate(id="python", command=("python", "tools/gate.py", "--all")),
    )
)
OFF = replace(
    POLICY,
    tamper_guards=TamperGuards(forbid_test_deletion=False, forbid_new_suppressions=False, forbid_gate_edits=False),
)
SKIP, MARK, IGNORE = "ski" + "p", "pytest.ma" + "rk", "igno" + "re"  # the house's own rules read this file, too


def said(before, after, policy=POLICY, **limits):
    return {(each.guard, each.path) for each in refusals(before, after, policy, **limits)}


def guards(before, after, policy=POLICY):
    return {each.guard for each in refusals(before, after, policy)}


def test_a_path_that_the_policy_denies_is_out_of_scope() -> None:
    policy = replace(POLICY, scope=Scope(deny=("migrations/**",)))
    assert said({}, {"migrations/1.sql": "x", "src/a.py": "x"}, policy) == {("path_out_of_scope", "migrations/1.sql")}
    assert said({"migrations/1.sql": "x"}, {}, policy) == {("path_out_of_scope", "migrations/1.sql")}
    assert said({"migrations/1.sql": "x"}, {"migrations/1.sql": "x"}, policy) == set()


def test_the_policy_is_edited_by_people_alone() -> None:
    for path in (".runwright/policy.yaml", ".sentinelayer/policy.json", ".Runwright/Policy.yml", ".runwright/baseline"):
        assert said({path: "a: 1"}, {path: "a: 2"}, OFF) == {("policy_edited", path)}
        assert said({path: "a: 1"}, {}, OFF) == {("policy_edited", path)}
        assert said({}, {path: "a: 1"}, OFF) == {("policy_edited", path)}


def test_a_patch_is_as_large_as_people_read() -> None:
    policy = replace(POLICY, tamper_guards=TamperGuards(max_files=2, max_changed_lines=4))
    assert said({}, dict.fromkeys("abc", ""), policy) == {("too_many_files", "")}
    assert said({"a": "1\n2\n3\n"}, {"a": "4\n5\n"}, policy) == {("diff_too_large", "")}
    assert said({"a": "1\n2\n"}, {"a": "4\n5\n"}, policy) == set()
    assert said({"a": "1\n2\n"}, {"a": "4\n5\n", "b": ""}, policy, max_files=1, max_lines=3) == {
        ("too_many_files", ""),
        ("diff_too_large", ""),
    }


def test_no_file_that_is_no_text_is_changed() -> None:
    assert said({"a": b"\xff"}, {"a": "text"}, OFF) == {("binary_change", "a")}
    assert said({}, {"a": "\0"}, OFF) == {("binary_change", "a")}
    assert said({"a": b"text"}, {"a": "another"}) == set()


TESTS = """import pytest
import unittest

from app import run


@pytest.fixture
def client():
    return run()


def check(answer):
    assert answer.status == 200


@PARAM("n", [1, 2, 3])
def test_it_numbers(n):
    assert run(n) == n + 1


def test_it_answers(client):
    answer = client.get("/")
    assert answer.text == "hello"
    with pytest.raises(ValueError):
        run(-1)


class TestMore(unittest.TestCase):
    def test_it_inside(self):
        self.assertEqual(run(1), 2)
        self.assertTrue(run(2))

    def helper(self):
        return 1
""".replace("PARAM", f"{MARK}.parametrize")


def changed(old, new):
    assert old in TESTS
    return TESTS.replace(old, new)


HELLO = '    assert answer.text == "hello"'
GET = '    answer = client.get("/")\n'
EQUAL = "        self.assertEqual(run(1), 2)\n"
FROM_ANSWERS = TESTS[TESTS.index("def test_it_answers") :]
ANSWERS = 'def test_it_answers(client):\n    answer = client.get("/")\n    assert answer.text == "hello"\n'

SABOTAGE = [
    ("test_deleted", changed(TESTS[TESTS.index("def test_it_answers") : TESTS.index("class TestMore")], "")),
    ("test_deleted", changed(TESTS[TESTS.index("class TestMore") :], "")),
    ("test_deleted", changed("[1, 2, 3]", "[1]")),
    ("test_deleted", changed("def check", "def check(")),
    ("test_deleted", TESTS + "\ntest_it_answers = None\n"),
    ("test_deleted", TESTS + "\ndel test_it_answers\n"),
    ("test_deleted", ""),
    ("test_deleted", "(" * 5000),
    ("test_deleted", "x = 1" + "+1" * 190_000),
    ("test_skipped", changed("def test_it_answers", f"@{MARK}.{SKIP}\ndef test_it_answers")),
    ("test_skipped", changed("def test_it_answers", f"@{MARK}.{SKIP}if(True, reason='x')\ndef test_it_answers")),
    ("test_skipped", changed("def test_it_answers", f"@{MARK}.xfail\ndef test_it_answers")),
    ("test_skipped", changed("    def test_it_inside", f"    @unittest.{SKIP}('later')\n    def test_it_inside")),
    ("test_skipped", changed("    def test_it_inside", "    @unittest.expectedFailure\n    def test_it_inside")),
    ("test_skipped", changed(EQUAL, f"        self.{SKIP}Test('x')\n{EQUAL}")),
    ("test_skipped", changed("import unittest\n", f"import unittest\npytestmark = {MARK}.{SKIP}\n")),
    ("test_skipped", changed("import unittest\n", f"import unittest\npytest.{SKIP}('x', allow_module_level=True)\n")),
    ("test_skipped", changed("import unittest\n", f"import unittest\nfrom pytest import {SKIP} as later\n")),
    ("test_skipped", changed("import unittest\n", f"import unittest\np = getattr(pytest, '{SKIP}')\n")),
    ("test_skipped", changed("import unittest\n", "import unittest\n__test__ = False\n")),
    ("test_skipped", changed("import unittest\n", "import unittest, os\nos._exit(0)\n")),
    ("test_skipped", changed("    def helper", "    __test__ = False\n\n    def helper")),
    ("test_skipped", changed("def test_it_answers", "def check_answers")),
    ("test_skipped", changed("class TestMore(unittest.TestCase)", "class More")),
    ("test_skipped", changed(ANSWERS, "def test_it_answers(client):\n    return\n" + ANSWERS.partition("\n")[2])),
    ("test_skipped", changed(GET, GET + "    if True:\n        return\n")),
    ("test_skipped", changed(HELLO, '    if False:\n    ' + HELLO)),
    ("test_skipped", changed(HELLO, '    if not 1:\n    ' + HELLO)),
    ("test_skipped", changed(HELLO, '    for _ in []:\n    ' + HELLO)),
    ("test_skipped", changed(HELLO, "    try:\n    " + HELLO + "\n    except Exception:\n        pass")),
    ("test_skipped", changed(HELLO, "    with suppress(AssertionError):\n    " + HELLO)),
    ("test_skipped", changed(TESTS[TESTS.index(GET) : TESTS.index("class TestMore")], "    pass\n\n\n")),
    ("test_skipped", changed(FROM_ANSWERS, "if False:\n    " + FROM_ANSWERS.replace("\n", "\n    ") + "pass\n")),
    ("assertions_removed", changed('    assert answer.text == "hello"\n', "")),
    ("assertions_removed", changed('assert answer.text == "hello"', "assert answer.text")),
    ("assertions_removed", changed('assert answer.text == "hello"', "assert answer.text is not None")),
    ("assertions_removed", changed('assert answer.text == "hello"', "assert True")),
    ("assertions_removed", changed('assert answer.text == "hello"', 'assert (answer.text == "hello", "text")')),
    ("assertions_removed", changed('assert answer.text == "hello"', 'assert answer.text == "hello" or True')),
    ("assertions_removed", changed('assert answer.text == "hello"', "assert answer.text == answer.text")),
    ("assertions_removed", changed("raises(ValueError)", "raises(Exception)")),
    ("assertions_removed", changed("        self.assertEqual(run(1), 2)\n", "")),
    ("assertions_removed", changed("self.assertEqual(run(1), 2)", "self.assertTrue(run(1))")),
    ("assertions_removed", changed("self.assertEqual(run(1), 2)", "self.assertEqual(2, 2)")),
    ("assertions_removed", changed("    assert answer.status == 200\n", "    pass\n")),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "after"), SABOTAGE)
def test_tests_are_not_weakened(guard, after) -> None:
    before, after = {"tests/test_app.py": TESTS}, {"tests/test_app.py": after}
    assert guard in guards(before, after)
    assert said(before, after, OFF) == set()


def test_tests_are_not_hidden_by_where_they_lie() -> None:
    before = {"tests/test_app.py": TESTS}
    assert said(before, {}) == {("test_deleted", "tests/test_app.py")}
    assert guards(before, {"tests/app_checks.py": TESTS}) == {"test_skipped"}
    assert guards(before, {"tests/test_app.py.bak": TESTS}) == {"test_deleted"}
    assert guards({}, {"app.py": "import os\nos._exit(0)\n"}) == {"test_skipped"}
    assert guards({}, {"app.py": "import os\nFAST = 'PYTEST_CURRENT_TEST' in os.environ\n"}) == {"test_skipped"}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("    assert run()\n", "    assert True\n"),
        ("    assert run()\n", "    assert (run(), 1)\n"),
        ("    assert run()\n", "    if True:\n        pass\n    else:\n        assert run()\n"),
        ("    assert run()\n", "    while False:\n        assert run()\n"),
        ("    run()\n    run(1)\n", "    run()\n"),
    ],
)
def test_the_least_that_a_test_asserts_stays(was, now) -> None:
    before, after = ({"test_a.py": f"def test_it_runs():\n{body}"} for body in (was, now))
    assert guards(before, after) & {"test_skipped", "assertions_removed"}


def test_a_file_of_tests_that_is_too_large_to_be_read_is_refused() -> None:
    large = TESTS + "# more\n" * 60_000
    assert said({"tests/test_app.py": TESTS}, {"tests/test_app.py": large}) == {
        ("test_deleted", "tests/test_app.py"),
        ("diff_too_large", ""),
    }


HONEST = [
    TESTS + "\n\ndef test_another():\n    assert run(3) == 4\n",
    changed("[1, 2, 3]", "[1, 2, 3, 4]"),
    changed("def test_it_answers", "def test_that_it_answers"),
    changed('"hello"', '"good day"'),
    changed(HELLO, "    assert answer.status == 200\n" + HELLO),
    changed('assert answer.text == "hello"', 'assert answer.status == 200 and answer.text == "hello"'),
    changed("import unittest\n", "import unittest\nfrom pathlib import Path\n"),
    changed("def check(answer):\n    assert answer.status == 200\n", ""),
    changed("self.assertTrue(run(2))", "self.assertEqual(run(2), 3)"),
    changed("def test_it_answers(client):\n", "def test_it_answers(client):\n    reader.skip(3)\n    skip = 2\n"),
    changed('    answer = client.get("/")\n', '    answer = client.get("/")\n    if answer.slow:\n        return\n'),
    changed("    with pytest.raises(ValueError):\n", "    with pytest.raises(ValueError), clock():\n"),
    '"""Tests of the app."""\n' + TESTS,
    changed("    def helper(self):\n        return 1\n", ""),
]  # fmt: skip


@pytest.mark.parametrize("after", HONEST)
def test_tests_may_be_added_renamed_and_changed(after) -> None:
    if "def check" not in after:  # a helper that nothing called may go where the tests assert as much by themselves
        after = after.replace("    run(-1)", "    run(-1)\n    assert client.get('/').status == 200")
    assert said({"tests/test_app.py": TESTS}, {"tests/test_app.py": after}) == set()


def test_a_file_of_tests_may_move_and_be_divided() -> None:
    assert said({"tests/test_app.py": TESTS}, {"tests/unit/test_app.py": TESTS}) == set()
    at = TESTS.index("class TestMore")
    assert (
        said(
            {"tests/test_app.py": TESTS},
            {"tests/test_app.py": TESTS[:at], "tests/test_more.py": "import unittest\n" + TESTS[at:]},
        )
        == set()
    )


SPEC = """describe("app", () => {
  it("adds", () => {
    expect(add(1)).toBe(2)
  })
  test("more", () => {
    expect(1)
  })
})
"""
GO = 'func TestAdd(t *testing.T) {\n\tif add(1) != 2 {\n\t\tt.Fatal("no")\n\t}\n}\n'
RUST = "#[test]\nfn adds() {\n    assert_eq!(add(1), 2);\n}\n"
JAVA = "@Test\nvoid adds() {\n  assertEquals(2, add(1));\n}\n"
RUBY = "it 'adds' do\n  expect(add(1)).to eq 2\nend\n"


@pytest.mark.parametrize(
    ("path", "text", "old", "new", "guard"),
    [
        ("src/app.test.ts", SPEC, 'it("adds"', f'it.{SKIP}("adds"', "test_skipped"),
        ("src/app.test.ts", SPEC, 'it("adds"', 'xit("adds"', "test_skipped"),
        ("src/app.test.ts", SPEC, 'it("adds"', 'it.only("adds"', "test_skipped"),
        ("src/app.test.ts", SPEC, "describe(", f"describe.{SKIP}(", "test_skipped"),
        ("src/app.test.ts", SPEC, "    expect(add(1)).toBe(2)\n", "", "assertions_removed"),
        ("src/app.test.ts", SPEC, "    expect(add", "    // expect(add", "assertions_removed"),
        ("src/app.test.ts", SPEC, '  it("adds"', '  /* it("adds"', "test_deleted"),
        ("src/app.test.ts", SPEC, SPEC, "", "test_deleted"),
        ("app_test.go", GO, "\tif add", '\tt.Skip("later")\n\tif add', "test_skipped"),
        ("app_test.go", GO, "func TestAdd", "func checkAdd", "test_deleted"),
        ("app_test.go", GO, '\t\tt.Fatal("no")\n', "", "assertions_removed"),
        ("app_test.go", GO, "func Test", "//go:build never\n\nfunc Test", "test_skipped"),
        ("src/lib.rs", RUST, "#[test]\n", f"#[test]\n#[{IGNORE}]\n", "test_skipped"),
        ("src/lib.rs", RUST, "#[test]\n", "", "test_deleted"),
        ("src/lib.rs", RUST, "    assert_eq!(add(1), 2);\n", "", "assertions_removed"),
        ("src/test/java/AppTest.java", JAVA, "@Test", "@Disabled @Test", "test_skipped"),
        ("src/test/java/AppTest.java", JAVA, "  assertEquals(2, add(1));\n", "", "assertions_removed"),
        ("spec/app_spec.rb", RUBY, "it 'adds'", "xit 'adds'", "test_skipped"),
        ("spec/app_spec.rb", RUBY, "  expect(add(1)).to eq 2\n", "", "assertions_removed"),
    ],
)
def test_tests_of_other_languages_are_not_weakened_either(path, text, old, new, guard) -> None:
    assert old in text
    assert guard in guards({path: text}, {path: text.replace(old, new)})
    assert said({path: text}, {path: text + text}) == set()
    assert said({path: text}, {path: text.replace("2", "3")}) == set()
