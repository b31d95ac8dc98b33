"""Write the blocking client from the asynchronous one, so that there is one source and no twin by hand.

`python docs/generate_client.py` writes what changed under `src/runwright/client/sync`; `--check` writes nothing and
ends with 1 when something would change. The translation is by tokens: `async` and `await` go, the names of asynchronous
things become those of blocking ones, comments and docstrings follow. What asyncio gives the asynchronous client
(`asyncio.sleep`, `asyncio.timeout`, a client whose calls can be given up) `runwright.client.waiting` gives this one.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "runwright" / "client"
SYNC = CLIENT / "sync"
NOTICE = "# Generated from runwright/client/{name} by `make docs`; change that one instead."
PACKAGE = '"""The client of the API for code that is not asynchronous: `Client`, what it gives, and `RunHandle`."""\n'

NAMES = {
    "AsyncClient": "Client",
    "AsyncRunHandle": "RunHandle",
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "aclose": "close",
    "aclosing": "closing",
    "aread": "read",
    "aiter_bytes": "iter_bytes",
    "asynccontextmanager": "contextmanager",
    "asyncio": "waiting",
}
PHRASES = (
    ("import asyncio", "from runwright.client import waiting"),
    ("httpx2.AsyncClient", "waiting.HttpClient"),
    ("websockets.asyncio.client", "websockets.sync.client"),
)
"""Whole phrases of code, which go before single names."""

Place = tuple[int, int]
Edit = tuple[Place, Place, str]


def sources() -> dict[str, str]:
    """Return the modules that are asynchronous, by their file names: those that define or use something async."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(CLIENT.glob("*.py"))}
    return {name: texts[name] for name in _reached(texts, "api.py", "run_handle.py")}


def _reached(texts: dict[str, str], *starts: str) -> list[str]:
    """Return the modules that these need, themselves too, and that are asynchronous or import one that is."""
    imported = {
        name: [f"{found}.py" for found in re.findall(r"^\s*from runwright\.client\.(\w+) import", text, re.MULTILINE)]
        for name, text in texts.items()
    }
    needed, waiting = set(starts), list(starts)
    while waiting:
        more = [name for name in imported[waiting.pop()] if name not in needed]
        needed.update(more)
        waiting.extend(more)
    chosen = {name for name in needed if re.search(r"^\s*async (?:def|for|with)\b", texts[name], re.MULTILINE)}
    while more := [name for name in needed - chosen if chosen.intersection(imported[name])]:
        chosen.update(more)
    return sorted(chosen)


def translate(text: str, modules: frozenset[str]) -> str:
    """Return a module as blocking code; imports of `modules` become those of their translations."""
    lines = text.splitlines(keepends=True)
    for start, end, new in sorted(_edits(text), reverse=True):
        row = lines[start[0] - 1]
        if start[0] == end[0]:
            lines[start[0] - 1] = row[: start[1]] + new + row[end[1] :]
        else:
            lines[start[0] - 1 : end[0]] = [row[: start[1]] + new + lines[end[0] - 1][end[1] :]]
    text = "".join(lines)
    for module in sorted(modules):
        found = re.compile(rf"^(\s*)from runwright\.client\.{module} import", re.MULTILINE)
        text = found.sub(rf"\1from runwright.client.sync.{module} import", text)
    return text


def _edits(text: str) -> Iterator[Edit]:
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    at = 0
    while at < len(tokens):
        token = tokens[at]
        phrase = next((each for each in PHRASES if _begins(tokens, at, each[0])), None)
        if phrase is not None:
            last = at + len(_words(phrase[0])) - 1
            yield token.start, tokens[last].end, phrase[1]
            at = last
        elif token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start, token.end, _prose(token.string)
        elif token.string in ("async", "await"):
            yield token.start, tokens[at + 1].start, ""
        elif token.string == "Awaitable" and tokens[at + 1].string == "[":
            yield token.start, tokens[at + 1].end, ""
            close = _closing(tokens, at + 1)
            yield tokens[close].start, tokens[close].end, ""
        elif token.string in NAMES:
            yield token.start, token.end, NAMES[token.string]
        at += 1


def _words(code: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", code)


def _begins(tokens: list[tokenize.TokenInfo], at: int, code: str) -> bool:
    words = _words(code)
    return [token.string for token in tokens[at : at + len(words)]] == words


def _closing(tokens: list[tokenize.TokenInfo], opening: int) -> int:
    """Return the place of the bracket that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"[": 1, "]": -1}.get(tokens[at].string, 0)
        if depth == 0:
            return at
    raise ValueError("a bracket is not closed")


def _prose(text: str) -> str:
    text = re.sub(r"\basync (def|for|with)\b", r"\1", text)
    text = re.sub(r"(`[^`]*)\bawait ", r"\1", text)
    return re.sub(r"\b\w+\b", lambda word: NAMES.get(word[0], word[0]), text)


def files() -> dict[str, str]:
    """Return every file of the blocking client, by name, formatted."""
    found = sources()
    modules = frozenset(name.removesuffix(".py") for name in found)
    written = {name: translate(text, modules) for name, text in found.items()}
    return {name: _formatted(name, f"{NOTICE.format(name=name)}\n{text}") for name, text in written.items()} | {
        "__init__.py": PACKAGE
    }


def _formatted(name: str, text: str) -> str:
    """Return a module as ruff would have it: unused imports gone, the rest in order."""
    ruff = (sys.executable, "-m", "ruff")
    path = ("--stdin-filename", str(SYNC / name), "-")
    # C416, UP028: a loop that only passes rows on has a shorter form where nothing is awaited.
    mended = ("check", "--quiet", "--fix-only", "--unsafe-fixes", "--select", "I,F401,C416,UP028")
    for step in (mended, ("format", "--quiet")):
        text = subprocess.run([*ruff, *step, *path], input=text, capture_output=True, text=True, check=True).stdout
    return text


def stale() -> dict[str, str | None]:
    """Return the files that differ from what the generator makes, with what they should hold (None: nothing)."""
    wanted = files()
    strays = {path.name: None for path in SYNC.glob("*.py") if path.name not in wanted}
    current = {path.name: path.read_text(encoding="utf-8") for path in SYNC.glob("*.py")}
    return {**{name: text for name, text in wanted.items() if current.get(name) != text}, **strays}


def main(check: bool) -> int:
    """Write or check the blocking client; return the exit status."""
    SYNC.mkdir(exist_ok=True)
    changed = stale()
    for name, text in changed.items():
        fate = "is not what its source says; run: make docs" if check else "written" if text is not None else "removed"
        print(f"src/runwright/client/sync/{name} {fate}")
        if not check and text is None:
            (SYNC / name).unlink()
        elif not check and text is not None:
            (SYNC / name).write_text(text, encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
