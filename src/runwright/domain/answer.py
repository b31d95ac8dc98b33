"""Find the patch in what a model says: one fenced block, whatever is said around it, or an answer that is nothing else.

Of several blocks none is taken, as one of them may be an example: the model is told to give one.
"""

from __future__ import annotations

import re

from runwright.domain.draft import Draft
from runwright.domain.edits import parse_edits
from runwright.domain.patch import MAX_BYTES, PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.unified import parse_unified

_FENCE = re.compile(r" {0,3}(`{3,40}|~{3,40})[ \t]{0,20}([A-Za-z0-9_+.-]{0,40})[^\n]{0,200}\Z")
_DIFF = frozenset({"diff", "patch", "udiff"})
_EDITS = frozenset({"json", "edits"})
_DIFF_STARTS = ("diff --git ", "--- ")


def parse_answer(text: str, bounds: PatchBounds) -> Draft:
    """Return what a model's answer would change. Raises `PatchRefused`."""
    if len(text) > bounds.bytes:
        raise PatchRefused("too_large", f"the answer has more than {bounds.bytes} characters ({MAX_BYTES})")
    blocks = [each for word, block in _blocks(text) if (each := _form(word, block)) is not None]
    if not blocks and "```" not in text and "~~~" not in text:
        whole = _form("", text)
        blocks = [whole] if whole is not None else []
    if not blocks:
        raise PatchRefused("malformed", "there is no patch: answer with one block of the kind ```diff or ```json")
    if len(blocks) > 1:
        raise PatchRefused("malformed", f"there are {len(blocks)} blocks that may be the patch; answer with one")
    form, block = blocks[0]
    return parse_unified(block, bounds) if form == "diff" else parse_edits(block, bounds)


def _blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks, each with the word behind its fence; one that is not closed ends with the text.

    A line of a diff begins with its mark, and no line of JSON with a fence: what a patch holds closes none.
    """
    found: list[tuple[str, str]] = []
    fence = word = ""
    lines: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.match(line.rstrip("\r"))
        if not fence:
            if match:
                fence, word, lines = match[1], match[2], []
        elif match and not match[2] and match[1].startswith(fence) and not line.startswith(" "):
            found.append((word, "".join(f"{each}\n" for each in lines)))
            fence = ""
        else:
            lines.append(line)
    if fence:
        raise PatchRefused("malformed", "a fenced block is not closed; the answer may have been cut short")
    return found


def _form(word: str, block: str) -> tuple[str, str] | None:
    """Return a block that may be a patch, with its form; None of any other."""
    if word.lower() in _DIFF:
        return "diff", block
    begins = block.lstrip()
    if word.lower() in _EDITS:
        return "edits", block
    if word:
        return None
    if begins.startswith(_DIFF_STARTS):
        return "diff", block.lstrip("\r\n")
    return ("edits", block) if begins.startswith(("[", "{")) else None
