"""Describe what secrets look like: one row per kind, each anchored at a literal that an automaton can find.

A row is read in three parts. The *head* decides, within `Pattern.reach` bytes of its literal, whether this is a secret;
its first group is kept, the rest goes. The *tail* is whatever of the secret follows the head, of any length. *Open*
matches to the end of what is there as long as more bytes could change the head's answer; a stream holds its text back
so long. For that heads and tails obey three rules: `open` accepts whatever a head begins with; a tail is a run of units
of at most `UNIT` bytes; a unit is judged by its own bytes, without looking ahead.
"""

import re
from typing import NamedTuple

UNIT = 10  # the longest unit of a tail: seven backslashes and what they escape
CONTEXT = 20  # how many bytes before its literal a pattern may ask about

Regex = re.Pattern[bytes]


class Pattern(NamedTuple):
    """Recognise one kind of secret; see the module for the rules that its expressions obey."""

    kind: str
    literals: tuple[bytes, ...]
    shapes: tuple[tuple[Regex, Regex], ...]  # heads with their tails; the first head that matches counts
    open: Regex
    reach: int
    before: Regex  # what the bytes before the literal must end in

    def undecided(self, text: bytes, at: int) -> bool:
        """Tell whether bytes that may follow ``text`` can still change what the head at ``at`` answers."""
        return len(text) - at < self.reach and self.open.match(text, at) is not None

    def match(self, text: bytes, at: int, since: int = 0) -> tuple[int, int, Regex] | None:
        """Return (where the secret begins, where its head ends, its tail), or None when there is no secret.

        What stands before ``since`` is no context: it was replaced.
        """
        for head, tail in self.shapes:
            if found := head.match(text, at):
                around = self.before.search(text[max(since, at - CONTEXT) : at])
                return (found.end(1), found.end(), tail) if around else None
        return None


NOTHING = re.compile(b"")
_WORD = r"A-Za-z0-9_\-"
# No token of this alphabet goes on from a letter or digit; the n of an escaped newline in nested JSON is neither.
_BORDER = re.compile(rb"(?:^|[^A-Za-z0-9]|\\[nrt])\Z")
_QUOTED = r'\\{0,3}["\']?[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4}'
_BARE = r"(?:[^\s\"'\\,;&]|\\[^nrt\"'\\\s])*"


def _compile(expression: str) -> Regex:
    return re.compile(expression.encode())


def _either(literals: str) -> str:
    return "(?:" + "|".join(map(re.escape, literals.split("|"))) + ")"


def _pattern(kind: str, literals: str, shapes: list[tuple[str, str]], open: str, reach: int, before: Regex) -> Pattern:
    compiled = tuple((_compile(head), _compile(tail)) for head, tail in shapes)
    return Pattern(kind, tuple(literals.encode().split(b"|")), compiled, _compile(open + r"\Z"), reach, before)


def _token(kind: str, literals: str, alphabet: str, least: int, before: Regex = NOTHING, keep: bool = False) -> Pattern:
    """Describe a literal followed by at least ``least`` bytes of one alphabet."""
    start, reach = _either(literals), max(map(len, literals.split("|"))) + least
    head = f"({start})" if keep else f"(){start}"
    shapes = [(f"{head}[{alphabet}]{{{least}}}", f"[{alphabet}]*")]
    return _pattern(kind, literals, shapes, f"{start}[{alphabet}]*", reach, before)


def _assignment(kind: str, before: str, literals: str) -> Pattern:
    """Describe ``word = value`` in the spellings of shells, configuration, code and (nested) JSON.

    The literals lack the first letter of their word, which is asked for by ``before``: that spares the automaton half
    of the spellings. A bare value is taken after ``=`` at once, after other separators from six bytes on.
    """
    word = _either(literals)
    shapes = [
        (rf'({word}{_QUOTED}\\{{1,3}}")(?:\\{{1,7}}[^"\\\r\n]|[^"\\\r\n])', r'(?:\\{1,7}[^"\\\r\n]|[^"\\\r\n])*'),
        (rf'({word}{_QUOTED}")(?:\\[^\r\n]|[^"\\\r\n])', r'(?:\\[^\r\n]|[^"\\\r\n])*'),
        (rf"({word}{_QUOTED}')(?:\\[^\r\n]|[^'\\\r\n])", r"(?:\\[^\r\n]|[^'\\\r\n])*"),
        (rf"({word}=)[^\s\"'\\,;&$<{{(\[=>]", _BARE),
        (rf"({word}[ \t]{{0,4}}(?::=|=>|[:=])[ \t]{{0,4}})[^\s\"'\\,;&$<{{(\[=>](?:{_CLEAN}[^\s\"'\\,;&]){{5}}", _BARE),
    ]
    return _pattern(kind, literals, shapes, rf"{word}[\\\"' \t:=>]*[^\s\"']{{0,16}}", 64, _compile(before + r"\Z"))


_CLEAN = r"(?!\[redacted:)"  # what an earlier redaction left makes no new secret of its surroundings
_USER, _PASSWORD = rf"(?:{_CLEAN}[^\s/?#@\"'\\<>:])", rf"(?:{_CLEAN}[^\s/?#@\"'\\<>])"
_SCHEME = r"(?:[Bb]earer|[Bb]asic|[Tt]oken|[Dd]igest|[Aa]pi[Kk]ey|BEARER|BASIC)"
_AUTHORIZATION = "uthorization|UTHORIZATION"
# Tokens that page through a list are no secrets, and whoever reads them back needs them.
_NO_CURSOR = "".join(f"(?<!{word})(?<!{word}[_-])" for word in ("[pP]age", "[nN]ext", "[sS]ync", "ation"))
_ASSIGNED = (
    ("password", "[pP]", "assword|ASSWORD|asswd|ASSWD"),
    ("secret", "[sS]", "ecret|ECRET"),
    ("token", _NO_CURSOR + "[tT]", "oken|OKEN"),
    ("api_key", "[aA]", "pi_key|PI_KEY|pi_Key|pi-key|PI-KEY|pi-Key|pikey|PIKEY|piKey"),
    ("access_key", "[aA]", "ccess_key|CCESS_KEY|ccess_Key|ccess-key|CCESS-KEY|ccess-Key|ccesskey|ccessKey"),
)

_SECRETS = (
    _token("runwright_key", "rw_", _WORD, 16, _BORDER),
    _token("ticket", "rwticket_", _WORD, 16, _BORDER),
    _token("run_token", "rwt_", _WORD, 16, _BORDER),
    _token("signing_secret", "whsec_", "A-Za-z0-9+/=", 24, _BORDER),
    _token("anthropic_key", "sk-ant-", _WORD, 16),
    _token("openai_key", "sk-", _WORD, 20, _BORDER),
    _token("github_token", "ghp_|gho_|ghs_|ghu_|ghr_", "A-Za-z0-9_", 20),
    _token("github_token", "github_pat_", "A-Za-z0-9_", 20),
    _token("gitlab_token", "glpat-", _WORD + ".", 16),
    _token("slack_token", "xoxa-|xoxb-|xoxp-|xoxr-|xoxs-", r"A-Za-z0-9\-", 10),
    _token("slack_webhook", "hooks.slack.com/services/", "A-Za-z0-9/", 20, keep=True),
    _token("aws_key_id", "AKIA|ASIA", "A-Z0-9", 16, _BORDER),
    _token("google_key", "AIza", _WORD, 30, _BORDER),
    _token("stripe_key", "sk_live_|rk_live_", "A-Za-z0-9_", 16),
    _token("npm_token", "npm_", "A-Za-z0-9", 30, _BORDER),
    _token("pypi_token", "pypi-", _WORD, 50, _BORDER),
    _pattern("jwt", "eyJ", [(rf"()eyJ[{_WORD}]{{8,512}}+\.eyJ", rf"[{_WORD}.]*")], rf"eyJ[{_WORD}.]*", 519, _BORDER),
    _pattern(
        "private_key",
        "-----BEGIN ",
        [(r"()-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", r"(?:[A-Za-z0-9+/=:,.\s\\]|-[A-Za-z0-9])*")],
        r"-----BEGIN [A-Z0-9 ]*-*",
        73,
        NOTHING,
    ),
    # User and password both go: a token often stands in the user's place.
    _pattern(
        "url_password",
        "://",
        [(rf"(://){_USER}{{0,512}}+:{_PASSWORD}{{1,512}}+(?=@)", "")],
        r"://[^\s/?#@\"'\\<>]*",
        1040,
        NOTHING,
    ),
    _pattern(
        "authorization",
        _AUTHORIZATION,
        [
            (rf"({_either(_AUTHORIZATION)}{_QUOTED}\\{{0,3}}[\"']?{_SCHEME}[ \t]{{1,4}})[^\s\"'\\,]", _BARE),
            (rf"({_either(_AUTHORIZATION)}{_QUOTED}\\{{0,3}}[\"']?)(?:{_CLEAN}[^\s\"'\\,]){{8}}", _BARE),
        ],
        rf"{_either(_AUTHORIZATION)}[\\\"' \t:=>]*(?:[^\s\"'\\,]{{0,18}}|{_SCHEME}[ \t]*)",
        64,
        _compile(r"[aA]\Z"),
    ),
    _token("authorization", "earer |EARER ", _WORD + "._~+/=", 16, _compile(r"[bB]\Z"), keep=True),
    *(_assignment(*row) for row in _ASSIGNED),
)

# A mapping's key that ends in one of these words makes a secret of its string, of whatever shape.
SECRET_NAME = re.compile(
    "(?:"
    + "|".join(
        f"(?P<{kind}>{before}{_either(literals)})"
        for kind, before, literals in (("authorization", "[aA]", _AUTHORIZATION), *_ASSIGNED)
    )
    + r")\Z"
)

KNOWN = "known"
KEPT = ""  # the kind of a marker that an earlier redaction left: it stays as it is
_MARKER = rf"\[redacted:{_either('|'.join(sorted({row.kind for row in _SECRETS} | {KNOWN})))}\]"
PATTERNS = (
    *_SECRETS,
    _pattern(KEPT, "[redacted:", [(f"({_MARKER})", "")], r"\[redacted:[a-z_]*", 32, NOTHING),
)
