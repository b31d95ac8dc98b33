"""What a tree holds, as a look at it counts: files, bytes, languages, and what was passed over for which reason.

Every file is either looked into or told as skipped: the two numbers are all there are.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Skip = Literal[
    "binary", "too_large", "long_line", "link", "link_leads_out", "lfs_pointer", "submodule", "name_forbidden",
    "name_not_utf8", "path_too_long", "name_twice", "bytes", "time", "unreadable",
]  # fmt: skip
SKIPS: dict[Skip, str] = {
    "binary": "it is no text",
    "too_large": "it is larger than a file that is taken, or looked into",
    "long_line": "it has a line that nobody wrote by hand",
    "link": "it is a link, and its target is looked into where it lies",
    "link_leads_out": "it is a link that may lead out of the tree; it was not made",
    "lfs_pointer": "it is a pointer of Git LFS; what it stands for is not fetched",
    "submodule": "it is another repository, which is not fetched",
    "name_forbidden": "its name is one that git lets nothing have (.git, ..); it was not made",
    "name_not_utf8": "its name is no UTF-8; it was not made",
    "path_too_long": "its path is longer than a tree may have; it was not made",
    "name_twice": "another of that name was made",
    "bytes": "the look had read as many bytes as it may",
    "time": "the look had taken as long as it may",
    "unreadable": "it could not be read",
}
"""Why something is not looked into, or not even there, by the word that counts it."""
LISTED_MAX = 100

_BY_NAME = {
    "dockerfile": "Dockerfile", "makefile": "Makefile", "gnumakefile": "Makefile", "cmakelists.txt": "CMake",
    "jenkinsfile": "Groovy", "gemfile": "Ruby", "rakefile": "Ruby", "vagrantfile": "Ruby",
    ".gitattributes": "Git", ".gitignore": "Git", ".gitmodules": "Git",
}  # fmt: skip
_BY_EXTENSION = {
    "py": "Python", "pyi": "Python", "ipynb": "Jupyter", "js": "JavaScript", "mjs": "JavaScript", "cjs": "JavaScript",
    "jsx": "JavaScript", "ts": "TypeScript", "tsx": "TypeScript", "java": "Java", "kt": "Kotlin", "kts": "Kotlin",
    "scala": "Scala", "go": "Go", "rs": "Rust", "c": "C", "h": "C", "cc": "C++", "cpp": "C++", "cxx": "C++",
    "hpp": "C++", "hh": "C++", "cs": "C#", "fs": "F#", "rb": "Ruby", "php": "PHP", "pl": "Perl", "lua": "Lua",
    "r": "R", "jl": "Julia", "swift": "Swift", "m": "Objective-C", "dart": "Dart", "ex": "Elixir", "exs": "Elixir",
    "erl": "Erlang", "hs": "Haskell", "clj": "Clojure", "groovy": "Groovy", "gradle": "Groovy", "sh": "Shell",
    "bash": "Shell", "zsh": "Shell", "fish": "Shell", "ps1": "PowerShell", "bat": "Batch", "cmd": "Batch",
    "sql": "SQL", "html": "HTML", "htm": "HTML", "vue": "Vue", "svelte": "Svelte", "css": "CSS", "scss": "CSS",
    "sass": "CSS", "less": "CSS", "md": "Markdown", "markdown": "Markdown", "rst": "reStructuredText",
    "txt": "Text", "adoc": "AsciiDoc", "tex": "TeX", "json": "JSON", "jsonl": "JSON", "yaml": "YAML", "yml": "YAML",
    "toml": "TOML", "ini": "INI", "cfg": "INI", "conf": "INI", "env": "INI", "properties": "INI", "xml": "XML",
    "svg": "XML", "proto": "Protobuf", "graphql": "GraphQL", "tf": "HCL", "hcl": "HCL", "nix": "Nix", "zig": "Zig",
    "cmake": "CMake", "mk": "Makefile", "csv": "CSV", "tsv": "CSV", "lock": "Lockfile",
}  # fmt: skip
_BY_PROGRAM = {
    "python": "Python", "node": "JavaScript", "sh": "Shell", "bash": "Shell", "zsh": "Shell", "dash": "Shell",
    "ruby": "Ruby", "perl": "Perl", "php": "PHP", "lua": "Lua",
}  # fmt: skip
OTHER = "Other"


class Skipped(msgspec.Struct, frozen=True):
    """Something that was not looked into, by a path that may be shown."""

    path: str
    reason: Skip
    bytes: int = 0


class Lines(msgspec.Struct, frozen=True):
    """How much of a language was looked into."""

    files: int
    bytes: int
    lines: int


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """`workspace.ingested`: what a look at the workspace counted; `files` = `read_files` + `skipped_files`.

    `skipped` are the first of those that were passed over, and `skipped_by` counts all of them by reason.
    """

    files: int
    bytes: int
    directories: int
    links: int
    read_files: int
    read_bytes: int
    skipped_files: int
    skipped_by: dict[str, int]
    skipped: tuple[Skipped, ...]
    languages: dict[str, Lines]


class Counting:
    """Counts what is told to it, file by file."""

    def __init__(self) -> None:
        self.directories = self.links = 0
        self._read = Lines(0, 0, 0)
        self._languages: dict[str, Lines] = {}
        self._skipped: list[Skipped] = []
        self._by: dict[str, int] = {}
        self._skipped_bytes = 0

    def read(self, path: str, size: int, text: str) -> str:
        """Count a file that was looked into; return its language."""
        language, lines = language_of(path, text), text.count("\n") + (bool(text) and not text.endswith("\n"))
        before = self._languages.get(language, Lines(0, 0, 0))
        self._languages[language] = _more(before, size, lines)
        self._read = _more(self._read, size, lines)
        return language

    def skip(self, path: str, reason: Skip, size: int = 0) -> None:
        """Count something that was not."""
        self._by[reason] = self._by.get(reason, 0) + 1
        self._skipped_bytes += size
        if len(self._skipped) < LISTED_MAX:
            self._skipped.append(Skipped(path, reason, size))

    def pass_over(self, reason: str, count: int) -> None:
        """Count more of what was not, without their names."""
        self._by[reason] = self._by.get(reason, 0) + count

    @property
    def read_bytes(self) -> int:
        """Return how many bytes were looked into so far."""
        return self._read.bytes

    def inventory(self) -> Inventory:
        """Return what was counted."""
        skipped = sum(self._by.values())
        return Inventory(
            files=self._read.files + skipped,
            bytes=self._read.bytes + self._skipped_bytes,
            directories=self.directories,
            links=self.links,
            read_files=self._read.files,
            read_bytes=self._read.bytes,
            skipped_files=skipped,
            skipped_by=dict(sorted(self._by.items())),
            skipped=tuple(self._skipped),
            languages=dict(sorted(self._languages.items())),
        )


def _more(before: Lines, size: int, lines: int) -> Lines:
    return Lines(before.files + 1, before.bytes + size, before.lines + lines)


def language_of(path: str, text: str) -> str:
    """Return the language of a file, by its name, its extension or its first line; `OTHER` for none of ours."""
    name = path.rpartition("/")[2].lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    found = _BY_EXTENSION.get(name.rpartition(".")[2]) if "." in name else None
    if found is None and text.startswith("#!"):
        words = text[2:200].partition("\n")[0].replace("/", " ").split()
        program = next((word for word in reversed(words) if not word.startswith("-")), "")
        found = _BY_PROGRAM.get(program.rstrip("0123456789."))
    return found or OTHER
