"""Configuration of tools as flat settings, whichever file it stands in: `mypy.strict`, `coverage.report.fail_under`.

A setting that moves from `mypy.ini` to `pyproject.toml` stays the same setting. What cannot be read is told as such.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator, Mapping

TEXT_MAX = 400_000
DEPTH_MAX = 12
DOTS_MAX = 300
"""The most dots of a line: of a key with many parts, the reader of TOML keeps each beginning."""
Value = bool | float | str | tuple[str, ...]
Settings = Mapping[str, Value]

_INI = {
    "setup.cfg": "", "tox.ini": "", "mypy.ini": "", ".mypy.ini": "", "pytest.ini": "", ".pytest.ini": "",
    ".coveragerc": "coverage.", ".flake8": "", "pylintrc": "pylint.", ".pylintrc": "pylint.", ".bandit": "",
}  # fmt: skip
_JSON = re.compile(
    r"(?:tsconfig(?:\.[\w-]+)?|jsconfig|package|\.eslintrc|jest\.config|\.nycrc|\.c8rc|biome|pyrightconfig|\.mocharc"
    r"|\.oxlintrc)\.jsonc?\Z|\.(?:eslintrc|nycrc|c8rc|babelrc|mocharc)\Z"
)
_TOML = {
    "pyproject.toml": "",
    "ruff.toml": "ruff.",
    ".ruff.toml": "ruff.",
    ".coveragerc.toml": "coverage.",
    "pytest.toml": "",
    ".pytest.toml": "",
}
_TEXT = r'("(?:[^"\\\n]|\\.)*(?:"|\Z|(?=\n)))'
_COMMENT = re.compile(_TEXT + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING = re.compile(_TEXT + r"|,(?=\s{0,1000}[}\]])", re.DOTALL)
"""Both match wherever they begin, closed or not: so they read each character once."""
_TOOLS = {
    "eslintrc": "eslint", "nycrc": "nyc", "c8rc": "c8", "jsconfig": "tsconfig", "oxlintrc": "eslint",
    "pyrightconfig": "pyright",
}  # fmt: skip
_SECTIONS = {"tool:pytest": "pytest", "tool:pytest.ini_options": "pytest"}


class Unreadable(Exception):
    """Say that a file is no configuration of its form, or more of it than is read."""


def configures(path: str) -> bool:
    """Tell whether a file is one whose settings are read."""
    name = path.rpartition("/")[2].lower()
    return name in _INI or name in _TOML or _JSON.match(name) is not None


def settings_of(path: str, text: str) -> dict[str, Value]:
    """Return the settings of a file by their names. Raises `Unreadable`."""
    name = path.rpartition("/")[2].lower()
    if len(text) > TEXT_MAX:
        raise Unreadable(f"it has more than {TEXT_MAX} characters")
    if any(line.count(".") > DOTS_MAX for line in text.split("\n")):
        raise Unreadable(f"it has a line with more than {DOTS_MAX} dots")
    try:
        if name in _TOML:
            return dict(_flat(tomllib.loads(text), _TOML[name]))
        if name in _INI:
            return _ini(text, _INI[name])
        return dict(_flat(_read_json(text), f"{_tool(name)}."))
    except (tomllib.TOMLDecodeError, configparser.Error, ValueError, RecursionError) as wrong:
        raise Unreadable(f"it cannot be read ({type(wrong).__name__})") from None


def _tool(name: str) -> str:
    word = name.lstrip(".").partition(".")[0]
    known = {
        "eslintrc": "eslint",
        "nycrc": "nyc",
        "c8rc": "c8",
        "jsconfig": "tsconfig",
        "oxlintrc": "eslint",
        "pyrightconfig": "pyright",
    }
    return known.get(word, word)


def _read_json(text: str) -> object:
    """Return what JSON says, with comments and last commas, as tools for JavaScript write it."""
    try:
        return json.loads(text)
    except ValueError:
        plain = _COMMENT.sub(lambda found: found[1] or "", text)
        return json.loads(_TRAILING.sub(lambda found: found[1] or "", plain))


def _ini(text: str, prefix: str) -> dict[str, Value]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True, default_section="\0")
    parser.optionxform = str.lower  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    found: dict[str, Value] = {}
    for section in parser.sections():
        word = _SECTIONS.get(section, section).replace(":", ".").removeprefix("tool.")
        for key, value in parser[section].items():
            found[f"{prefix}{_normal(word)}.{_normal(key)}"] = _scalar(value)
    return found


def _scalar(value: str | None) -> Value:
    """Return what a value of an INI file is: a list where it has several lines or commas."""
    text = (value or "").strip()
    if text.lower() in {"true", "yes", "on", "false", "no", "off"}:
        return text.lower() in {"true", "yes", "on"}
    if re.fullmatch(r"-?\d{1,12}(?:\.\d{1,12})?", text):
        return float(text)
    if "\n" in text or "," in text:
        return tuple(each.strip() for each in re.split(r"[\n,]", text) if each.strip())
    return text


def _flat(value: object, prefix: str, depth: int = 0) -> Iterator[tuple[str, Value]]:
    if depth > DEPTH_MAX:
        raise Unreadable("it is too deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}{_normal(str(key))}.", depth + 1)
        return
    name = prefix[:-1].removeprefix("tool.").replace("pytest.ini_options.", "pytest.")
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for place, each in enumerate(value):
            yield from _flat(each, f"{prefix}{_named(each, place)}.", depth + 1)
    elif isinstance(value, list):
        yield name, tuple(each if isinstance(each, str) else json.dumps(each, default=str) for each in value)
    elif isinstance(value, bool | str):
        yield name, value
    elif isinstance(value, int | float):
        yield name, float(value)
    else:
        yield name, str(value)


def _named(value: object, place: int) -> str:
    """Return what tells an entry of a list from the others: the modules that it is for, else its place."""
    named = value.get("module", value.get("files")) if isinstance(value, dict) else None
    return _normal(str(named)).replace(".", "/") if named is not None else str(place)


def _normal(word: str) -> str:
    return word.replace("-", "_").lower()
