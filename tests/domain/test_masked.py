"""A patch by somebody who saw no secrets changes what it says, keeps what it was not shown, and writes no mark."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.answer import parse_answer
from runwright.domain.draft import FileDraft
from runwright.domain.masked import resolve_masked
from runwright.domain.patch import Patch, PatchBounds
from runwright.domain.patch_refusal import PatchRefused

SECRET, MARK = "sesame-opens", "[redacted:known]"
APP = f'import os\n\nKEY = "{SECRET}"\nOTHER = "{SECRET}!"\nDEBUG = True\n'


def mask(text: str) -> str:
    return text.replace(SECRET, MARK)


def over(answer: str, **files: str) -> Patch:
    tree = {name.replace("__", "."): text.encode() for name, text in files.items()}
    return resolve_masked(parse_answer(answer, PatchBounds()), tree.get, mask, PatchBounds())


def test_no_file_is_made_by_the_name_under_which_another_was_shown():
    answer = f'```json\n[{{"path": "{MARK}/app.py", "content": "one = 1\\n"}}]\n```'
    with pytest.raises(PatchRefused, match="no name of a file"):
        over(answer, **{f"{SECRET}/app.py": APP})
    assert over(answer, **{f"{MARK}/app.py": "two = 2\n"}).paths == (f"{MARK}/app.py",), (
        "one that is called so is there"
    )


def test_a_line_with_a_secret_is_taken_out_by_its_mark_and_another_stays_as_it_is():
    hunk = f'@@ -1,4 +1,4 @@\n import os\n \n-KEY = "{MARK}"\n+KEY = os.environ["KEY"]\n OTHER = "{MARK}!"\n'
    patch = over(f"```diff\n--- a/app.py\n+++ b/app.py\n{hunk}```", app__py=APP)
    assert patch.before == {"app.py": APP}
    assert patch.after == {"app.py": APP.replace(f'KEY = "{SECRET}"', 'KEY = os.environ["KEY"]', 1)}


def test_a_whole_file_keeps_the_secrets_of_the_lines_that_it_repeats():
    content = mask(APP).replace("True", "False")
    assert resolved(content).after == {"app.py": APP.replace("True", "False")}


def test_a_mark_is_written_into_no_file():
    for content in (mask(APP).replace("OTHER", "SOME"), f'NEW = "{MARK}"\n'):
        with pytest.raises(PatchRefused, match="mark of a secret"):
            resolved(content)
    with pytest.raises(PatchRefused, match="mark of a secret"):
        over(f'```json\n[{{"path": "new.py", "content": "KEY = {MARK}"}}]\n```')


def test_a_secret_of_several_lines_is_left_to_people():
    with pytest.raises(PatchRefused, match="several lines"):
        resolved("DEBUG = False\n", "-----BEGIN\nabc\n-----END\n", lambda text: MARK)


LINES = st.lists(st.sampled_from(["a\n", "b\n", f"x = {SECRET}\n", f"y = {SECRET}\n"]), min_size=1, max_size=8)


@given(LINES, st.data())
def test_whatever_lines_are_taken_out_the_others_are_those_of_the_tree(lines: list[str], data: st.DataObject):
    left = [line for line in lines if data.draw(st.booleans())]
    if left and left != lines:
        patch = resolved(mask("".join(left)), "".join(lines))
        assert patch.after == {"app.py": "".join(left)}


def resolved(content: str, file: str = APP, masking: Callable[[str], str] = mask) -> Patch:
    draft = (FileDraft(path="app.py", content=content, form="edits"),)
    return resolve_masked(draft, {"app.py": file.encode()}.get, masking, PatchBounds())
