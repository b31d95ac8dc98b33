"""Spell a known secret in the ways in which it travels: plain, in base64, in a URL, in JSON."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

LEAST_CHARACTERS = 4  # what is shorter stands in any text by chance
_LEAST_FRAGMENT = 8
_BLOCK = 1024


def spellings(values: Iterable[str]) -> frozenset[bytes]:
    """Return every spelling of every value of at least 4 characters, none longer than 1 280 bytes.

    A longer one is cut into blocks, each of which is looked for by itself: the whole is found as a row of blocks, and a
    stream need never hold more than one of them back.
    """
    found: set[bytes] = set()
    for value in values:
        if len(value) >= LEAST_CHARACTERS:
            for spelling in (*_texts(value), *_base64(value.encode())):
                found.update(_blocks(spelling))
    return frozenset(found)


def _texts(value: str) -> set[bytes]:
    escaped = json.dumps(value)[1:-1]
    texts = {value, escaped, escaped.replace("/", "\\/"), json.dumps(value, ensure_ascii=False)[1:-1]}
    for safe in ("", "/"):
        for encoded in (quote(value, safe=safe), quote_plus(value, safe=safe)):
            texts |= {encoded, _lower_escapes(encoded)}
    return {text.encode() for text in texts}


def _lower_escapes(encoded: str) -> str:
    head, *rest = encoded.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _base64(value: bytes) -> set[bytes]:
    """Spell a value as it looks inside a longer base64 text, where it may begin at each of three alignments."""
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value)
        fragments = {whole, whole.rstrip(b"=")}
        for lead in range(3):
            first = -(-lead * 8 // 6)  # characters before hold bits of what stands before, those after of what follows
            fragments.add(encode(bytes(lead) + value)[first : (lead + len(value)) * 8 // 6])
        found |= {fragment for fragment in fragments if len(fragment) >= _LEAST_FRAGMENT}
    return found


def _blocks(spelling: bytes) -> list[bytes]:
    blocks = []
    while len(spelling) > _BLOCK + _BLOCK // 4:
        cut = _BLOCK
        while spelling[cut] & 0xC0 == 0x80:  # never within a character of UTF-8
            cut -= 1
        blocks.append(spelling[:cut])
        spelling = spelling[cut:]
    return [*blocks, spelling]
