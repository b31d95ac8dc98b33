"""Read structured edits: a JSON list of `{path, find, replace}`, `{path, content}` and `{path, delete: true}`.

`find` must be in the file exactly once; several of them in one file are applied in their order. `content` is all that
the file holds afterwards, whether there is one or not.
"""

from __future__ import annotations

from itertools import groupby

import msgspec

from runwright.domain.draft import Draft, FileDraft, Replaced
from runwright.domain.patch import MAX_BYTES, MAX_HUNKS, PatchBounds
from runwright.domain.patch_paths import checked
from runwright.domain.patch_refusal import PatchRefused


class _Edit(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    find: str | None = None
    replace: str | None = None
    content: str | None = None
    delete: bool | None = None


class _Edits(msgspec.Struct, forbid_unknown_fields=True):
    edits: list[_Edit]


def parse_edits(text: str | bytes, bounds: PatchBounds) -> Draft:
    """Return what structured edits say: a list, or an object whose `edits` is one. Raises `PatchRefused`."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > bounds.bytes:
        raise PatchRefused("too_large", f"the edits have more than {bounds.bytes} bytes ({MAX_BYTES})")
    try:
        found = msgspec.json.decode(data, type=list[_Edit] | _Edits)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise PatchRefused("malformed", f"the edits are no JSON of the form that is asked for: {wrong}") from None
    edits = found.edits if isinstance(found, _Edits) else found
    if not edits:
        raise PatchRefused("nothing", "there is no edit")
    if len(edits) > bounds.hunks:
        raise PatchRefused("too_large", f"there are {len(edits)} edits; {bounds.hunks} are allowed ({MAX_HUNKS})")
    ordered = sorted(enumerate(edits), key=lambda each: (each[1].path, each[0]))
    return tuple(_file(path, list(each)) for path, each in groupby(ordered, key=lambda each: each[1].path))


def _file(path: str, numbered: list[tuple[int, _Edit]]) -> FileDraft:
    checked(path)
    for number, edit in numbered:
        if _form(edit) is None:
            why = "say `find` and `replace`, or `content`, or `delete: true`, and one of them alone"
            raise PatchRefused("malformed", f"edit {number + 1} of {path}: {why}")
    first = numbered[0][1]
    if len(numbered) > 1 and any(_form(edit) != "find" for _, edit in numbered):
        raise PatchRefused("twice", f"{path} is given or deleted as a whole, and edited beside that")
    if _form(first) != "find":
        return FileDraft(path=path, content=first.content, delete=bool(first.delete), form="edits")
    replaced = tuple(Replaced(edit.find or "", edit.replace or "") for _, edit in numbered)
    return FileDraft(path=path, replaced=replaced, form="edits")


def _form(edit: _Edit) -> str | None:
    """Return which form an edit has; None of one that has none, or parts of several."""
    said = {name for name in ("find", "replace", "content", "delete") if getattr(edit, name) is not None}
    if said == {"find", "replace"} and edit.find:
        return "find"
    if said == {"content"}:
        return "content"
    return "delete" if said == {"delete"} and edit.delete else None
