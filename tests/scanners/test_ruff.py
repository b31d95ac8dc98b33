"""Ruff looks at Python: what it finds is a finding, what it cannot do is told, and no tree talks it out of it."""

import pytest
from msgspec.structs import replace

from runwright.sandbox.command import Command, Ended, Hear
from runwright.scanners import program, ruff
from runwright.scanners.available import Absent, Scanners
from tests.scanners.ground import BOUNDS, Tree, told

SHELL = "import subprocess\n\n\ndef run(words):\n    return subprocess.call(words, shell=True)\n"


async def test_security_and_lint_are_told_apart_with_place_and_severity(tree: Tree):
    tree.write({"a.py": SHELL, "b/c.py": "import os\n\nassert x\n", "notes.txt": "import os"})
    seen = await tree.look(ruff.security(), ruff.lint())
    assert told(seen, "ruff") == [
        ("P1", "ruff:S602", "a.py", 5),
        ("P3", "ruff:F401", "b/c.py", 1),
        ("P2", "ruff:F821", "b/c.py", 3),
        ("P3", "ruff:S101", "b/c.py", 3),
    ]
    assert [(each.scanner, each.status, each.files, each.findings) for each in seen.reports[2:]] == [
        ("ruff", "completed", 2, 2),
        ("ruff_lint", "completed", 2, 2),
    ]
    shell = next(each for each in seen.findings if each.rule_id == "ruff:S602")
    assert (shell.symbol, shell.tool, shell.sources) == ("run", "ruff", ("ruff",))


async def test_no_configuration_and_no_comment_of_the_tree_silences_it(tree: Tree):
    quiet = "[tool.ruff]\nexclude = ['*']\nlint.ignore = ['S']\n"
    tree.write(
        {
            "pyproject.toml": quiet,
            "ruff.toml": "exclude = ['*']\n",
            ".ruff.toml": "force-exclude = true\nexclude = ['*']\n[lint.per-file-ignores]\n'*' = ['ALL']\n",
            ".gitignore": "*\n",
            ".ignore": "*\n",
            "a.py": "# ruff: noqa\n" + SHELL.replace("True)", "True)  # noqa: S602"),
            "node_modules/x/build/.venv/a.py": SHELL,
            "--exit-zero.py": SHELL,
            "@a.py": SHELL,
        }
    )
    seen = await tree.look(ruff.security())
    assert [file for _, _, file, _ in told(seen, "ruff")] == [
        "--exit-zero.py", "@a.py", "a.py", "node_modules/x/build/.venv/a.py",
    ]  # fmt: skip


async def test_what_it_cannot_parse_is_told_and_is_not_the_same_as_nothing_found(tree: Tree):
    tree.write({"a.py": "def f(:\n", "b.py": "x = 1\n"})
    seen = await tree.look(ruff.security(), ruff.lint())
    safe, lint = seen.reports[2:]
    assert (safe.status, safe.files, safe.reason) == ("partial", 1, "1 files are none that it can read")
    assert {rule for _, rule, _, _ in told(seen, "ruff")} == {"ruff:invalid-syntax"}
    assert lint.findings >= 1


async def test_names_and_messages_that_lie_stay_words(tree: Tree):
    tree.write({"a\nb.py": SHELL, "c\u202ed.py": SHELL, "e.py": "\u202e = 1\n" + SHELL})
    seen = await tree.look(ruff.security())
    (report,) = seen.reports[2:]
    assert (report.status, report.files) == ("partial", 0)
    assert "2 files have names with unseen characters" in str(report.reason)
    assert not any(ord(letter) < 32 or letter == "\u202e" for each in seen.findings for letter in each.message)


async def test_names_too_long_for_one_call_are_given_in_several(tree: Tree):
    tree.write({f"{number:03}{'x' * 200}.py": "assert x\n" for number in range(200)})
    seen = await tree.look(ruff.security())
    assert tree.commands > 1
    assert (seen.reports[2].files, seen.reports[2].findings) == (200, 200)


async def test_a_report_too_large_is_asked_for_in_parts_and_what_stays_too_large_is_told(tree: Tree):
    tree.write({"a.py": "assert x\n", "b.py": "assert x\n" * 400, "c.py": "assert x\n"})
    seen = await tree.look(ruff.security(), bounds=replace(BOUNDS, report_max_bytes=20_000))
    report = seen.reports[2]
    assert (report.status, report.files) == ("partial", 2)
    assert report.reason == "its report has more than 20000 bytes (1 files)"
    assert [file for _, _, file, _ in told(seen, "ruff")] == ["a.py", "c.py"]


async def test_too_little_time_is_not_run(tree: Tree):
    tree.write({"a.py": SHELL})
    late = (await tree.look(ruff.security(), bounds=replace(BOUNDS, seconds=0.05))).reports[2]
    assert late.status == "not_run"
    assert str(late.reason).startswith("it took")


async def test_what_was_found_before_the_time_was_up_is_told(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(program, "FILES_MAX", 1)
    tree.write({"a.py": SHELL, "b.py": SHELL, "c.py": SHELL})
    really = tree.run

    async def slow_after_one(command: Command, heard: Hear | None = None) -> Ended:
        if tree.commands:
            return Ended(None, "", truncated=False, exceeded=None)
        return await really(command, heard)

    monkeypatch.setattr(tree, "run", slow_after_one)
    seen = await tree.look(ruff.security())
    report = seen.reports[2]
    assert (report.status, report.files, report.reason) == ("partial", 1, "it took too long (2 files)")
    assert [file for _, _, file, _ in told(seen, "ruff")] == ["a.py"]


async def test_who_is_not_there_says_so_and_who_is_named_by_nobody_is_silent(tree: Tree):
    tree.write({"a.py": SHELL})
    named = Scanners(("ruff", "no-such")).chosen()
    assert [each.name for each in named] == ["ruff", "no-such"]
    seen = await tree.look(*named, Absent("other", "it is not installed"))
    assert [(each.scanner, each.status, each.reason) for each in seen.reports[3:]] == [
        ("no-such", "not_run", "there is no scanner of that name"),
        ("other", "not_run", "it is not installed"),
    ]
    assert [each.scanner for each in seen.not_whole()] == ["no-such", "other"]
    assert Scanners(("none",)).chosen() == ()
    assert {"ruff", "bandit", "zizmor", "ast_grep"} <= {each.name for each in Scanners().chosen()}
