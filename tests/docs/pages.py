"""The pages of the documentation as the tests read them: blocks of code, and what each of them shows."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<name>[\w.-]+\.\w+)\n")
_MAKE = re.compile(r"^make\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language and text, and, for a command, the output that is shown for it."""

    page: str
    line: int
    language: str
    text: str
    shown: str | None = None

    @property
    def where(self) -> str:
        """Return `page:line`, as editors open it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the name of the file that the block is to be saved as: its first line, a comment, says it."""
        named = _FILE.match(self.text)
        return named["name"] if named else None

    @property
    def made(self) -> list[str]:
        """Return the targets of `make` that it calls: they are looked up, for the suite cannot execute itself."""
        return [line.split()[1] for line in _MAKE.findall(self.text)]

    @property
    def script(self) -> str:
        """Return what is executed of the block."""
        return _MAKE.sub("", self.text).strip("\n")

    @property
    def serves(self) -> bool:
        """Tell whether the block ends in a server, which goes on while the next blocks are executed."""
        return self.language == "bash" and self.script.rpartition("\n")[2].split()[:2] == ["runwright", "serve"]


def documents() -> list[str]:
    """Return the path of every page that is written by hand, from the root."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page.relative_to(ROOT).as_posix() for page in pages if page.parent.name != "reference")


@cache
def text(page: str) -> str:
    """Return a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page; a `text` block right behind a `bash` one is the output of that one."""
    whole = text(page)
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(whole):
        adjacent = not whole[end : fence.start()].strip()
        end = fence.end()
        if fence["language"] == "text" and found and found[-1].language == "bash" and adjacent:
            command = found.pop()
            found.append(Block(page, command.line, "bash", command.text, fence["text"]))
        else:
            line = whole.count("\n", 0, fence.start()) + 1
            found.append(Block(page, line, fence["language"], fence["text"]))
    return found


def shows(shown: str, printed: str) -> bool:
    """Tell whether an output is what a page shows.

    `…` stands for anything within a line, alone for any lines; the width of columns does not count.
    """
    pattern = ""
    for line in shown.splitlines():
        literal = re.sub(r"(?:\\ )+", " +", ".*".join(map(re.escape, line.rstrip().split("…"))))
        # Atomic: a line that matched is not matched in another way, or twelve such lines would take for ever.
        pattern += r"(?:.*\n)*" if line.strip() == "…" else rf"(?>{literal}[ \t]*\n)"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else f"{printed}\n") is not None
