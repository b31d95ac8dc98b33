"""Patches: what is written is read exactly or refused, and what is read again is the same."""

import json
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.answer import parse_answer
from runwright.domain.draft import resolve
from runwright.domain.edits import parse_edits
from runwright.domain.line_diff import spans
from runwright.domain.patch import Change, PatchBounds, between, diff_stats, lines_of, made
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.unified import parse_unified

BOUNDS = PatchBounds()
TREE = {
    "app.py": "import os\n\n\ndef run(cmd):\n    os.system(cmd)\n\n\ndef stop():\n    return 1\n",
    "win.txt": "one\r\ntwo\r\nthree\r\n",
    "bare.txt": "no end",
    "twice.txt": "a\nb\na\nb\n",
    "empty.txt": "",
}


def reader(tree):
    return lambda path: tree[path].encode() if path in tree else None


def over(tree, text, bounds=BOUNDS):
    return resolve(parse_unified(text, bounds), reader(tree), bounds)


def edited(tree, *edits, bounds=BOUNDS):
    return resolve(parse_edits(json.dumps(edits), bounds), reader(tree), bounds)


def refused(work, *more) -> str:
    with pytest.raises(PatchRefused) as why:
        work(*more)
    return why.value.code


def test_a_diff_of_git_is_read_and_applied() -> None:
    text = (
        "diff --git a/app.py b/app.py\nindex 1234567..89abcde 100644\n--- a/app.py\n+++ b/app.py\n"
        "@@ -2,5 +2,4 @@ import os\n \n \n-def run(cmd):\n-    os.system(cmd)\n+def run(cmd): ...\n \n"
        "diff --git a/empty.txt b/empty.txt\ndeleted file mode 100644\nindex e69de29..0000000\n"
        "diff --git a/new/b.txt b/new/b.txt\nnew file mode 100644\nindex 0000000..e69de29\n"
        "--- /dev/null\n+++ b/new/b.txt\n"
        "@@ -0,0 +1,2 @@\n+x\n+y\n\\ No newline at end of file\n"
        "diff --git a/bare.txt b/moved.txt\nsimilarity index 100%\nrename from bare.txt\nrename to moved.txt\n"
    )
    patch = over(TREE, text)
    after = patch.applied(TREE)
    assert after["app.py"] == TREE["app.py"].replace("def run(cmd):\n    os.system(cmd)\n", "def run(cmd): ...\n")
    assert after["new/b.txt"] == "x\ny"
    assert after["moved.txt"] == "no end"
    assert {"bare.txt", "empty.txt"} & set(after) == set()
    assert (diff_stats(patch).files, diff_stats(patch).added, diff_stats(patch).removed) == (4, 3, 2)
    assert patch.paths == ("app.py", "bare.txt", "empty.txt", "moved.txt", "new/b.txt")


def test_a_hunk_on_a_wrong_line_counts_where_it_fits_once() -> None:
    text = "--- a/app.py\n+++ b/app.py\n@@ -90,2 +90,2 @@\n def stop():\n-    return 1\n+    return 2\n"
    assert over(TREE, text).applied(TREE)["app.py"].endswith("    return 2\n")


def test_lines_of_windows_stay_as_they_are() -> None:
    text = "--- a/win.txt\n+++ b/win.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n"
    assert over(TREE, text).after["win.txt"] == "one\r\nzwei\r\nthree\r\n"
    exact = "--- a/win.txt\n+++ b/win.txt\n@@ -1,3 +1,3 @@\n one\r\n-two\r\n+zwei\n three\r\n"
    assert over(TREE, exact).after["win.txt"] == "one\r\nzwei\nthree\r\n"
    assert over(TREE, text.replace("\n", "\r\n")).after["win.txt"] == "one\r\nzwei\r\nthree\r\n"
    patch = edited(TREE, {"path": "win.txt", "find": "two\nthree", "replace": "2\n3"})
    assert patch.after["win.txt"] == "one\r\n2\r\n3\r\n"


def test_an_end_without_a_newline_is_kept_and_can_be_given() -> None:
    text = "--- a/bare.txt\n+++ b/bare.txt\n@@ -1 +1 @@\n-no end\n\\ No newline at end of file\n+an end\n"
    assert over(TREE, text).after["bare.txt"] == "an end\n"
    assert refused(over, TREE, text.replace("\\ No newline at end of file\n", "")) == "mismatch"
    assert refused(over, {"bare.txt": "no end\nbut here\n"}, text) == "mismatch"


def test_structured_edits_replace_give_and_delete() -> None:
    patch = edited(
        TREE,
        {"path": "app.py", "find": "os.system(cmd)", "replace": "pass"},
        {"path": "app.py", "find": "import os\n\n\n", "replace": ""},
        {"path": "bare.txt", "content": "all of it\n"},
        {"path": "new.txt", "content": ""},
        {"path": "empty.txt", "delete": True},
    )
    after = patch.applied(TREE)
    assert after["app.py"].startswith("def run(cmd):\n    pass\n")
    assert (after["bare.txt"], after["new.txt"], "empty.txt" in after) == ("all of it\n", "", False)


@pytest.mark.parametrize(
    ("edits", "code"),
    [
        ([{"path": "twice.txt", "find": "a\n", "replace": "c\n"}], "ambiguous"),
        ([{"path": "app.py", "find": "absent", "replace": ""}], "mismatch"),
        ([{"path": "absent.py", "find": "a", "replace": "b"}], "missing"),
        ([{"path": "absent.py", "delete": True}], "missing"),
        ([{"path": "app.py", "find": "", "replace": "b"}], "malformed"),
        ([{"path": "app.py", "find": "a"}], "malformed"),
        ([{"path": "app.py", "delete": False}], "malformed"),
        ([{"path": "app.py", "content": "a", "delete": True}], "malformed"),
        ([{"path": "app.py", "content": "a"}, {"path": "app.py", "find": "os", "replace": "b"}], "twice"),
        ([{"path": "app.py", "mode": "755"}], "malformed"),
        ([{"path": "app.py", "content": TREE["app.py"]}], "nothing"),
        ([{"path": "app.py", "content": "\0"}], "binary"),
        ([{"path": "app.py", "content": "\ud800"}], "malformed"),
        ([], "nothing"),
        ("x", "malformed"),
        ({"edits": [{"path": "app.py", "content": "a"}], "run": "rm"}, "malformed"),
    ],
)
def test_an_edit_that_is_not_exact_is_refused(edits, code) -> None:
    assert refused(lambda: resolve(parse_edits(json.dumps(edits), BOUNDS), reader(TREE), BOUNDS)) == code


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", ".git/config", "a/.GIT/hooks/x", ".git./x", "GIT~1/x",
     "a\\b", "a\nb", "a\u202eb", "a\u200bb", "x" * 256, "a/" * 600 + "b", ".g\u200cit/config", "\x1b[31m"],
)  # fmt: skip
def test_no_path_leads_out_or_into_git(path) -> None:
    assert refused(edited, {}, {"path": path, "content": "x"}) == "path"
    head = f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    assert refused(over, {}, head) in {"path", "malformed"}
    git = f"diff --git a/{path} b/{path}\nnew file mode 100644\n{head}"
    assert refused(over, {}, git) in {"path", "malformed"}
    rename = f"diff --git a/app.py b/{path}\nrename from app.py\nrename to {path}\n"
    assert refused(over, TREE, rename) in {"path", "malformed"}


HUNK = "@@ -1 +1 @@\n-import os\n+import sys\n"
SIDES = "--- a/app.py\n+++ b/app.py\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "nothing"),
        ("hello\n", "malformed"),
        (SIDES, "malformed"),
        ("--- a/app.py\n" + HUNK, "malformed"),
        (SIDES + "@@ -1,2 +1 @@\n-import os\n+import sys\n", "malformed"),
        (SIDES + "@@ -1 +1 @@\n-import os\n+import sys\n+import re\n", "malformed"),
        (SIDES + "@@ -1 +1 @@\n import os\n+import sys\n", "malformed"),
        (SIDES + "@@ -1 +1 @@\n*import os\n", "malformed"),
        (SIDES + "@@ -1 @@\n-import os\n", "malformed"),
        (SIDES + HUNK + "and so on\n", "malformed"),
        (SIDES + "@@ -1 +1 @@\n\\ No newline at end of file\n-import os\n+import sys\n", "malformed"),
        (SIDES + "@@ -1 +1 @@\n-import  os\n+import sys\n", "mismatch"),
        (SIDES + "@@ -4,0 +5 @@\n+x\n", "ambiguous"),
        ("--- a/twice.txt\n+++ b/twice.txt\n@@ -9 +9 @@\n-a\n+c\n", "ambiguous"),
        (SIDES + HUNK + SIDES + "@@ -9 +9 @@\n-    return 1\n+    return 2\n", "twice"),
        (SIDES + "@@ -9 +9 @@\n-    return 1\n+    return 2\n" + HUNK, "mismatch"),
        ("--- a/app.py\n+++ b/other.py\n" + HUNK, "malformed"),
        ("--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+x\n", "malformed"),
        ("--- /dev/null\n+++ b/app.py\n@@ -0,0 +1 @@\n+x\n", "exists"),
        ("--- a/absent\n+++ b/absent\n" + HUNK, "missing"),
        ("--- a/bare.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-no\n", "mismatch"),
        ("--- a/app.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-import os\n", "mismatch"),
        ("diff --git a/app.py b/app.py\n" + "--- a/other.py\n+++ b/other.py\n" + HUNK, "malformed"),
        ("diff --git a/app.py b/app.py\n", "malformed"),
        ("diff --git a/app.py b/app.py\nindex 1234567..89abcde\n", "malformed"),
        ("diff --git a/app.py b/app.py\nnew file mode 100644\n" + SIDES + HUNK, "malformed"),
        ("diff --git a/app.py b/b.py\nrename from app.py\n", "malformed"),
        ("diff --git a/app.py b/b.py\nrename from app.py\nrename to c.py\n", "malformed"),
        ("diff --git a/app.py b/win.txt\nrename from app.py\nrename to win.txt\n", "exists"),
        ("diff --git a/app.py b/b.py\ncopy from app.py\ncopy to b.py\n", "malformed"),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n", "mode"),
        ("diff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+Subproject\n", "mode"),
        ("diff --git a/x b/x\nnew file mode 100755\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n", "mode"),
        ("diff --git a/app.py b/app.py\nold mode 100644\nnew mode 100755\n", "mode"),
        ("diff --git a/app.py b/app.py\nold mode 100644\nnew mode 104755\n", "mode"),
        ("diff --git a/x b/x\nindex 1234567..89abcde\nBinary files a/x and b/x differ\n", "binary"),
        ("diff --git a/x b/x\nindex 1234567..89abcde\nGIT binary patch\nliteral 3\n", "binary"),
        ('diff --git "a/x\\q" "b/x\\q"\nnew file mode 100644\n', "malformed"),
        ("diff --cc app.py\n", "malformed"),
    ],
)  # fmt: skip
def test_a_diff_that_is_not_exact_is_refused(text, code) -> None:
    assert refused(over, TREE, text) == code


def test_what_can_be_executed_changes_only_where_it_may() -> None:
    bounds = PatchBounds(programs=True)
    text = "diff --git a/app.py b/app.py\nold mode 100644\nnew mode 100755\n"
    assert over(TREE, text, bounds).changes == (
        Change(path="app.py", before=TREE["app.py"], after=TREE["app.py"], program=True),
    )
    assert over(TREE, over(TREE, text, bounds).text, bounds) == over(TREE, text, bounds)


def test_a_file_that_is_no_text_is_not_changed() -> None:
    binary = lambda path: b"\xff\xfe"  # noqa: E731 - a tree of one file
    assert refused(resolve, parse_edits('[{"path": "x", "content": "y"}]', BOUNDS), binary, BOUNDS) == "binary"


@pytest.mark.parametrize(
    "bounds",
    [PatchBounds(bytes=10), PatchBounds(files=1), PatchBounds(hunks=1), PatchBounds(file_bytes=4)],
)
def test_a_patch_has_bounds(bounds) -> None:
    edits = [{"path": name, "content": f"{name} is long"} for name in ("a", "b")]
    text = between({}, {"a": "a is long", "b": "b is long"}).text
    assert refused(lambda: edited({}, *edits, bounds=bounds)) == "too_large"
    assert refused(lambda: over({}, text, bounds)) == "too_large"


FENCED = f"Here it is:\n\n```diff\n{SIDES}{HUNK}```\n\nIt changes the import."


@pytest.mark.parametrize(
    "answer",
    [
        FENCED,
        FENCED.replace("```diff", "~~~~").replace("```", "~~~~"),
        f"{SIDES}{HUNK}",
        f"\n\n{SIDES}{HUNK}\n",
        f"First an example:\n```python\nimport sys\n```\n{FENCED}",
        '```json\n[{"path": "app.py", "find": "import os", "replace": "import sys"}]\n```',
        '{"edits": [{"path": "app.py", "find": "import os", "replace": "import sys"}]}',
    ],
)
def test_a_patch_is_found_in_an_answer(answer) -> None:
    patch = resolve(parse_answer(answer, BOUNDS), reader(TREE), BOUNDS)
    assert patch.after["app.py"] == TREE["app.py"].replace("import os", "import sys")


def test_a_patch_of_markdown_may_hold_fences() -> None:
    tree = {"a.md": "x\n```sh\nls\n```\ny\n"}
    patch = between(tree, {"a.md": "x\n```sh\npwd\n```\ny\n"})
    assert resolve(parse_answer(f"```diff\n{patch.text}```\n", BOUNDS), reader(tree), BOUNDS) == patch


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot do that.",
        FENCED + FENCED,
        FENCED[:40],
        "```python\nimport sys\n```",
        "",
        FENCED + "\n```json\n[]\n```",
    ],
)
def test_an_answer_without_one_patch_is_refused(answer) -> None:
    assert refused(parse_answer, answer, BOUNDS) == "malformed"


NAMES = st.sampled_from(["a", "b", "c d", 'e"f', "g/h", "g/i j/k", "ü/é.py", "-l", "m\u00a0n"])
TEXTS = st.lists(
    st.sampled_from(["a", "b", "", "-- a", "++ b", "@@ -1 +1 @@", "\\ No", "x\r", "\x0c", "\u2028", "}"]), max_size=30
)
TREES = st.dictionaries(NAMES, st.builds(lambda lines, end: "\n".join(lines) + end, TEXTS, st.sampled_from(["", "\n"])))


@given(TREES, TREES)
@settings(max_examples=150, deadline=None)
def test_the_patch_between_two_trees_makes_one_of_the_other_and_is_read_again(before, after) -> None:
    if before == after:
        assert refused(between, before, after) == "nothing"
        return
    patch = between(before, after)
    assert patch.applied(before) == after
    assert over(before, patch.text) == patch
    assert over(before, f"{patch.text}\n").sha256 == patch.sha256
    assert parse_answer(f"So:\n```diff\n{patch.text}```", BOUNDS) == parse_unified(patch.text, BOUNDS)


@given(TREES, st.text(alphabet="abx\n", max_size=60))
@settings(max_examples=50, deadline=None)
def test_a_moved_file_is_read_again(tree, text) -> None:
    tree = tree | {"from": "a\nb\nx\n"}
    patch = made([Change(path="to here", before=tree["from"], after=text, moved_from="from")], BOUNDS)
    assert over(tree, patch.text) == patch
    assert patch.applied(tree) == {path: held for path, held in tree.items() if path != "from"} | {"to here": text}


@given(st.text(alphabet='-+ @\\abdifgt/.\n\r"0123456789,', max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_text_is_read_otherwise_than_as_a_draft_or_a_refusal(text) -> None:
    for begin in ("", SIDES, SIDES + HUNK, "diff --git a/app.py b/app.py\n"):
        try:
            over(TREE, begin + text)
        except PatchRefused:
            continue


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=40))
@settings(max_examples=150, deadline=None)
def test_what_lies_between_spans_is_equal(old, new) -> None:
    at = there = 0
    for span in spans(old, new):
        assert old[at : span.old] == new[there : span.new]
        assert span.old_end > span.old or span.new_end > span.new
        at, there = span.old_end, span.new_end
    assert old[at:] == new[there:]


def test_large_texts_of_equal_lines_are_compared_in_a_moment() -> None:
    began = process_time()
    spans(["a"] * 200_000 + ["b", "a"] * 1000, ["b"] + ["a"] * 100_000 + ["a", "b"] * 1000)
    spans([str(n) for n in range(100_000)], [str(n) for n in reversed(range(100_000))])
    assert process_time() - began < 5


def test_lines_end_with_a_newline_alone() -> None:
    assert lines_of("a\r\nb\x0cc\u2028d\re\n\nf") == ["a\r\n", "b\x0cc\u2028d\re\n", "\n", "f"]
