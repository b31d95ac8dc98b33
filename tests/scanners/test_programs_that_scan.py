"""Bandit, zizmor and ast-grep: what they find, what silences them not, and that two of them make one finding."""

import msgspec
import pytest

from runwright.sandbox.scanner import Text
from runwright.scanners import ruff
from runwright.scanners.ast_grep import AstGrep, shipped
from runwright.scanners.bandit import Bandit
from runwright.scanners.program import BadReport, Said
from runwright.scanners.zizmor import Zizmor
from tests.scanners.ground import Tree, told

SHELL = """import subprocess


class Runner:
    def run(self, words):
        return subprocess.Popen(
            words,
            stdout=None,
            shell=True,
        )
"""
WORKFLOW = """on: pull_request_target
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4 # zizmor: ignore[unpinned-uses]
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo ${{ github.event.pull_request.title }}
"""


async def test_bandit_tells_place_and_severity_and_no_word_of_a_password(tree: Tree):
    tree.write(
        {
            "a.py": SHELL.replace("shell=True,", "shell=True,  # nosec"),
            ".tox/b.py": "password = 'hunter2hunter2'\nassert password\n",
            "broken.py": "def f(:\n",
            ".bandit": "[bandit]\nexclude: /\nskips: B602,B105\n",
            "pyproject.toml": "[tool.bandit]\nskips = ['B602']\n",
            "-x.py": "exec(input())\n",
        }
    )
    seen = await tree.look(Bandit())
    assert told(seen, "bandit") == [
        ("P2", "bandit:B102", "-x.py", 1),
        ("P3", "bandit:B105", ".tox/b.py", 1),
        ("P3", "bandit:B101", ".tox/b.py", 2),
        ("P3", "bandit:B404", "a.py", 1),
        ("P1", "bandit:B602", "a.py", 6),
    ]
    report = seen.reports[2]
    assert (report.status, report.files, report.reason) == ("partial", 3, "1 files are none that it can read")
    assert "hunter2" not in repr([each for each in seen.findings if each.tool == "bandit"])


async def test_an_assert_is_told_of_code_and_not_of_tests(tree: Tree):
    tree.write(dict.fromkeys(("app.py", "tests/asking.py", "src/test_app.py", "conftest.py"), "assert input()\n"))
    assert told(await tree.look(Bandit()), "bandit") == [("P3", "bandit:B101", "app.py", 1)]
    assert told(await tree.look(ruff.security()), "ruff") == [("P3", "ruff:S101", "app.py", 1)]


def test_a_password_that_bandit_quotes_is_left_out_before_anybody_redacts_it():
    result = {
        "filename": "/workspace/a.py", "test_id": "B105", "issue_text": "Possible hardcoded password: 'blue: green'",
        "issue_severity": "LOW", "issue_confidence": "MEDIUM", "line_number": 3, "line_range": [2, 3, 4],
    }  # fmt: skip
    report = msgspec.json.encode({"results": [result], "errors": [{"filename": "b.py", "reason": "no"}]})
    read = Bandit().read(Said(0, report, "", too_large=False), [Text("a.py", "Python", 1), Text("b.py", "Python", 1)])
    (found,) = read.told
    assert (found.message, found.line, found.end_line, read.unread) == ("Possible hardcoded password", 2, 4, 1)
    with pytest.raises(BadReport):
        Bandit().read(Said(0, report, "", too_large=False), [])


async def test_k8_ruff_and_bandit_tell_of_one_statement_by_different_lines_and_it_is_one_finding(tree: Tree):
    tree.write({"a.py": SHELL + SHELL.replace("Runner", "Other")})
    seen = await tree.look(ruff.security(), Bandit())
    shells = [each for each in seen.findings if each.rule_id in {"bandit:B602", "ruff:S602"}]
    assert [(each.sources, each.severity, each.line, each.symbol) for each in shells] == [
        (("bandit", "ruff"), "P1", 6, "Runner.run"),
        (("bandit", "ruff"), "P1", 16, "Other.run"),
    ]
    (only,) = [each for each in (await tree.look(Bandit())).findings if each.rule_id == "bandit:B602"][:1]
    assert only.fingerprint == shells[0].fingerprint


async def test_zizmor_looks_at_what_github_would_read_and_tells_what_it_cannot(tree: Tree):
    tree.write(
        {
            ".github/workflows/ci.yml": WORKFLOW,
            ".github/workflows/bad.yaml": "on: [\n",
            ".github/zizmor.yml": "rules: {template-injection: {disable: true}}\n",
            "zizmor.yml": "rules: {template-injection: {disable: true}}\n",
            ".gitignore": "*\n",
            "deploy/action.yml": "name: a\ndescription: b\nruns: {using: composite, steps: []}\n",
            "other/ci.yml": WORKFLOW,
        }
    )
    seen = await tree.look(Zizmor())
    report = seen.reports[2]
    assert (report.status, report.files) == ("partial", 2)
    found = told(seen, "zizmor")
    assert ("P1", "zizmor:template-injection", ".github/workflows/ci.yml", 9) in found
    assert ("P1", "zizmor:unpinned-uses", ".github/workflows/ci.yml", 6) in found
    assert {file for _, _, file, _ in found} == {".github/workflows/ci.yml"}


BAD = {
    "a.js": "eval(text);\ndocument.body.innerHTML = text;\nconst o = { rejectUnauthorized: false };\n",
    "b.ts": "execSync(`ls ${name}`);\ncrypto.createHash('md5');\n",
    "c.tsx": "const e = <p dangerouslySetInnerHTML={{ __html: text }} />;\n",
    "d.py": "render_template_string(name)\njwt.decode(t, k, verify=False)\nbreakpoint()\n",
    "e.go": 'package a\n\nvar c = tls.Config{InsecureSkipVerify: true}\n\nfunc f() { exec.Command("sh", "-c", x) }\n',
    "f.sh": "curl -s https://example.org/x | sudo bash\n",
    "G.java": 'class G { void f() { Runtime.getRuntime().exec("ls " + x); } }\n',
    "h.rb": "eval(name)\n",
    "i.php": "<?php eval($x);\n",
}
GOOD = {
    "a.js": "document.body.innerHTML = '';\nconst o = { rejectUnauthorized: true };\nregex.exec(text);\n",
    "b.ts": "execFile('ls', [name]);\ncrypto.createHash('sha256');\n",
    "c.tsx": "const e = <p>{text}</p>;\n",
    "d.py": "render_template_string('x')\njwt.decode(t, k, algorithms=['RS256'])\n",
    "e.go": 'package a\n\nvar c = tls.Config{InsecureSkipVerify: false}\n\nfunc f() { exec.Command("ls", "-c", x) }\n',
    "f.sh": "curl -s https://example.org/x -o x | tee log\n",
    "G.java": 'class G { void f() { Runtime.getRuntime().exec("ls"); } }\n',
    "h.rb": "evaluate(name)\n",
    "i.php": "<?php evaluate($x);\n",
}


async def test_each_shipped_rule_finds_what_it_is_for_and_leaves_alone_what_it_is_not_for(tree: Tree):
    tree.write({f"bad/{name}": text for name, text in BAD.items()})
    tree.write({f"good/{name}": text for name, text in GOOD.items()})
    seen = await tree.look(AstGrep())
    assert (seen.reports[2].status, seen.reports[2].files) == ("completed", 18)
    assert [(rule.partition(":")[2], file, line) for _, rule, file, line in told(seen, "ast_grep")] == [
        ("command-shell", "bad/G.java", 1),
        ("eval", "bad/a.js", 1),
        ("html-sink", "bad/a.js", 2),
        ("tls-off", "bad/a.js", 3),
        ("child-process-shell", "bad/b.ts", 1),
        ("weak-hash", "bad/b.ts", 2),
        ("raw-html-attribute", "bad/c.tsx", 1),
        ("template-from-value", "bad/d.py", 1),
        ("token-not-verified", "bad/d.py", 2),
        ("debugger", "bad/d.py", 3),
        ("tls-off", "bad/e.go", 3),
        ("command-shell", "bad/e.go", 5),
        ("pipe-to-shell", "bad/f.sh", 1),
        ("eval", "bad/h.rb", 1),
        ("eval", "bad/i.php", 1),
    ]


async def test_neither_a_configuration_nor_a_comment_of_the_tree_silences_ast_grep(tree: Tree):
    tree.write(
        {
            "sgconfig.yml": "ruleDirs: [none]\ncustomLanguages: {evil: {libraryPath: evil.so, extensions: [js]}}\n"
            "languageGlobs: {html: ['*.js']}\n",
            "evil.so": "no library",
            ".gitignore": "*\n",
            ".hidden/a.js": "// ast-grep-ignore\neval(one);\n",
            "b.js": "eval(two); // ast-grep-ignore: eval@JavaScript\n",
        }
    )
    seen = await tree.look(AstGrep())
    assert told(seen, "ast_grep") == [("P1", "ast_grep:eval", ".hidden/a.js", 2), ("P1", "ast_grep:eval", "b.js", 1)]
    assert seen.reports[2].status == "completed"


async def test_rules_of_a_base_look_too_and_those_that_are_none_are_not_run(tree: Tree):
    own = "id: no-print\nlanguage: Python\nseverity: warning\nmessage: Use the log\nrule: {pattern: print($$$A)}\n"
    tree.write({"a.py": "print(1)\n"})
    seen = await tree.look(AstGrep({"rules/print.yml": own}))
    assert told(seen, "ast_grep") == [("P2", "ast_grep:no-print", "a.py", 1)]
    broken = (await tree.look(AstGrep({"rules/print.yml": "id: [\n"}))).reports[2]
    assert broken.status == "not_run"
    assert "exit code 8" in str(broken.reason)
    huge = (await tree.look(AstGrep({"a.yml": "#" * (1 << 20)}))).reports[2]
    assert (huge.status, huge.reason) == ("not_run", "the rules have more than 1048576 bytes")


def test_our_rules_are_read_once_and_have_names_of_their_own():
    ids = [line.partition('"id":"')[2].partition('"')[0] for line in shipped().split("\n---\n")]
    assert len(ids) == len(set(ids)) > 20


@pytest.mark.parametrize("scanner", [Bandit(), Zizmor(), AstGrep(), ruff.security()])
async def test_a_tree_without_files_of_its_kind_is_looked_at_whole(tree: Tree, scanner: Bandit):
    tree.write({"LICENSE": "free\n"})
    report = (await tree.look(scanner)).reports[2]
    assert (report.status, report.files, tree.commands) == ("completed", 0, 0)
