"""The pages of the documentation as the tests read them: blocks of code, and what each of them shows."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<name>[\w.-]+\.\w+)\n")
_MAKE = re.compile(r"^make(?: [\w=\"' -]+)?$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language and text, and, after a `bash` one, the output that is shown."""

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
    def make_lines(self) -> list[str]:
        """Return the calls of `make`: they are looked up, not executed, for the suite cannot run itself."""
        return _MAKE.findall(self.text)

    @property
    def script(self) -> str:
        """Return what is executed of the block."""
        return _MAKE.sub("", self.text).strip("\n")

    @property
    def serves(self) -> bool:
        """Tell whether the block ends in a server, which goes on while the next ones are executed."""
        return self.script.splitlines()[-1:] != [] and self.script.splitlines()[-1].startswith("runwright serve ")


def documents() -> list[str]:
    """Return the path of every page that is written by hand, from the root."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page.relative_to(ROOT).as_posix() for page in pages if page.parent.name != "reference")


@cache
def text(page: str) -> str:
    """Return a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page; a `text` block that follows a `bash` one is the output of that one."""
    whole = text(page)
    found: list[Block] = []
    for fence in _FENCE.finditer(whole):
        language, body = fence["language"], fence["text"]
        if language == "text" and found and found[-1].language == "bash" and found[-1].shown is None:
            before = found.pop()
            found.append(Block(page, before.line, "bash", before.text, body))
        else:
            found.append(Block(page, whole.count("\n", 0, fence.start()) + 1, language, body))
    return found


def shows(shown: str, printed: str) -> bool:
    """Tell whether an output is what a page shows.

    `…` stands for anything within a line, alone for any lines; the width of columns does not count.
    """
    pattern = ""
    for line in shown.splitlines():
        literal = ".*".join(map(re.escape, line.rstrip().split("…")))
        pattern += r"(?:.*\n)*" if line.strip() == "…" else re.sub(r"(?:\\ )+", " +", literal) + r"[ \t]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else printed + "\n") is not None
