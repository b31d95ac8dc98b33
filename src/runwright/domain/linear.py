"""Regular expressions of others, matched by RE2: in time linear in the text, whatever they are.

What would need more (look-around, references back) is refused when it is read, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

if TYPE_CHECKING:
    from re2 import _Regexp

PATTERN_MAX = 500
"""The most characters of an expression."""
_MEMORY = 4 << 20
"""How much one expression may take (bytes), compiled; a larger one is refused."""
_SET_MEMORY = 64 << 20


def _options(*, within_lines: bool) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_nl = within_lines
    options.dot_nl = not within_lines
    return options


@lru_cache(maxsize=1_000)
def linear(expression: str, *, within_lines: bool = True) -> _Regexp[bytes]:
    """Return an expression, compiled, for bytes in UTF-8; `within_lines`: no match goes over the end of a line.

    Raises `ValueError` for what is none, or cannot be matched in linear time.
    """
    if within_lines and len(expression) > PATTERN_MAX:
        raise ValueError(f"an expression has at most {PATTERN_MAX} characters")
    begin = "(?m)" if within_lines else ""
    try:
        return re2.compile((begin + expression).encode(), _options(within_lines=within_lines))
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    except re2.error as wrong:
        raise ValueError(f"it cannot be matched in linear time, or is no expression: {_words(wrong)}") from None


def which(expressions: Sequence[str]) -> Callable[[bytes], Sequence[int]]:
    """Return what tells which of many expressions match a whole text, in one pass over it; each was `linear` before."""
    options = _options(within_lines=False)
    options.max_mem = _SET_MEMORY
    matching = re2.Set.FullMatchSet(options)
    for each in expressions:
        matching.Add(each.encode())
    matching.Compile()
    found: Callable[[bytes], Any] = matching.Match  # the stub says otherwise than it is
    return lambda text: found(text) or ()


def _words(wrong: Exception) -> str:
    said = wrong.args[0] if wrong.args else b""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
