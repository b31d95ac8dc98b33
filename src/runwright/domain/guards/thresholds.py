"""Guards over how strict the gates are: what must be reached, what is switched on, what is selected and left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from runwright.domain.guards.configuration import Settings, Unreadable, Value, configures, settings_of
from runwright.domain.guards.terms import Edited, Guard, Refusal


class Rule(NamedTuple):
    """Which settings a rule is about, when a change of one is weaker than before, and whose matter that is."""

    names: re.Pattern[str]
    weaker: Callable[[Value | None, Value | None], bool]
    guard: Guard = "threshold_lowered"


def _names(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _fell(was: Value | None, now: Value | None) -> bool:
    return _number(was) is not None and ((number := _number(now)) is None or number < (_number(was) or 0))


def _rose(was: Value | None, now: Value | None) -> bool:
    return _number(was) is not None and ((number := _number(now)) is None or number > (_number(was) or 0))


def _switched_off(was: Value | None, now: Value | None) -> bool:
    return ((was is True or str(was).lower() in {"true", "1", "1.0", "yes"}) and now != was) or (
        was is None and now is False
    )


def _switched_on(was: Value | None, now: Value | None) -> bool:
    return now not in {was, False, None, "", "normal", "error"}


def _lost(was: Value | None, now: Value | None) -> bool:
    """Tell whether a list names less; one that is gone names what the tool would by itself, which is less or other."""
    return bool(set(_list(was)) - set(_list(now))) and not set(_list(now)) & {"ALL", "all"}


def _gained(was: Value | None, now: Value | None) -> bool:
    return bool(set(_list(now)) - set(_list(was)))


def _milder(was: Value | None, now: Value | None) -> bool:
    """Tell whether a rule of ESLint, or a diagnostic, is told less loudly, or no longer."""
    return _loudness(was) > _loudness(now) if was is not None else now is not None and _loudness(now) == 0


def _narrower_run(was: Value | None, now: Value | None) -> bool:
    return bool(set(_leaving_out(now)) - set(_leaving_out(was)))


_MYPY = r"mypy(?:[._].*)?"
_TSC = r"tsconfig\.compileroptions"
_NYC = r"(?:package\.)?(?:nyc|c8)"
_ESLINT = r"(?:eslint|package\.eslintconfig)"
_LEAVING_OUT = re.compile(
    r"(?<!\S)(?:-k|-m|--deselect|--ignore(?:-glob)?|-p\s{0,4}no:\S+|--exitfirst|-x|--maxfail|--collect-only|--co|--no-cov"
    r"|--lf|--last-failed|--sw|--stepwise|--disable-warnings|-W\s{0,4}ignore\S*|--noconftest|--suppress-no-test-exit-code"
    r"|--testPathIgnorePatterns|--passWithNoTests|--exclude|--skip|--exit-zero|--no-strict\S*|--ignore-missing-imports"
    r"|\|\|\s{0,4}true)"
    r"(?:[= ]\S{1,200})?"
)
_LOUD = {
    "off": 0,
    "0": 0,
    "0.0": 0,
    "false": 0,
    "none": 0,
    "information": 1,
    "info": 1,
    "warn": 1,
    "warning": 1,
    "1": 1,
    "1.0": 1,
}
_FLAG = re.compile(
    r"--(?P<name>(?:cov-)?fail-under|max-warnings|min-confidence|fail-on|coverage-min)(?:=|\s{1,4})(?P<value>\d{1,9}(?:\.\d{1,6})?)"
)

_COMPLEXITY = "complexity|warnings|args|branches|returns|statements|locals|nested_blocks"
_RULES = (
    Rule(
        _names(
            r"(?:.*\.)?(?:cov_)?fail_under",
            r".*coveragethreshold\..*",
            rf"{_NYC}\.(?:lines|branches|functions|statements)",
        ),
        _fell,
    ),
    Rule(_names(rf".*\.max_(?:{_COMPLEXITY})", r".*\.cc_max"), _rose),
    Rule(
        _names(
            rf"{_MYPY}\.(?:strict\w*|disallow_\w+|warn_\w+|check_untyped_defs|no_implicit_\w+|extra_checks)",
            r"pytest\.(?:xfail_strict|strict\w*)",
            r"coverage\.run\.branch",
            rf"{_NYC}\.(?:check_coverage|all)",
            rf"{_TSC}\.(?:strict\w*|no(?!emit|lib|resolve)\w+|alwaysstrict|exactoptional\w+|useunknown\w+|checkjs)",
            r"ruff\.(?:lint\.)?preview",
            r"pyright\.strict\w*",
        ),
        _switched_off,
    ),
    Rule(
        _names(
            rf"{_MYPY}\.(?:ignore_errors|ignore_missing_imports|allow_\w+|follow_imports)",
            rf"{_TSC}\.(?:skip\w*libcheck|suppress\w+|allowunreachablecode|allowunusedlabels)",
            r"coverage\.report\.(?:skip_\w+|ignore_errors)",
            r"(?:.*\.)?passwithnotests",
            r"(?:.*\.)?exit_zero",
        ),
        _switched_on,
    ),
    Rule(
        _names(
            r"ruff\.(?:lint\.)?(?:select|extend_select|include)",
            r"mypy\.(?:enable_error_code|files|packages|modules|plugins)",
            r"bandit\.(?:tests|targets)",
            r"pytest\.(?:testpaths|python_files|python_classes|python_functions|filterwarnings|required_plugins)",
            r"coverage\.run\.(?:source|source_pkgs|include)",
            r"coverage\.report\.include",
            r"flake8\.(?:select|extend_select|enable_extensions)",
            r"pylint\.(?:.*\.)?enable",
            rf"{_ESLINT}\.(?:extends|plugins)",
            r"tsconfig\.(?:include|files)",
            r"pyright\.(?:include|strict)",
            r"(?:package\.)?jest\.(?:.*\.)?(?:testmatch|roots|collectcoveragefrom|testregex)",
        ),
        _lost,
    ),
    Rule(
        _names(
            r"ruff\.(?:lint\.)?(?:ignore|extend_ignore|unfixable)",
            r"flake8\.(?:ignore|extend_ignore)",
            rf"{_MYPY}\.disable_error_code",
            r"bandit\.(?:bandit\.)?skips",
            r"pylint\.(?:.*\.)?disable",
            r"pyright\.(?:ignore|exclude)",
        ),
        _gained,
    ),
    Rule(
        _names(
            r"ruff\.(?:lint\.)?(?:exclude|extend_exclude|(?:extend_)?per_file_ignores.*)",
            r"flake8\.(?:per_file_ignores|exclude|extend_exclude)",
            r"mypy\.exclude",
            r"bandit\.(?:bandit\.)?exclude\w*",
            r"coverage\.run\.omit",
            r"coverage\.report\.(?:omit|exclude_\w+|partial_\w+)",
            rf"{_ESLINT}\.(?:ignorepatterns|noinlineconfig)",
            r"tsconfig\.exclude",
            r"deptry\..*ignore.*",
            r"(?:package\.)?(?:jest|nyc|c8)\.(?:.*\.)?(?:exclude|\w*ignorepatterns)",
        ),
        _gained,
        "suppression_added",
    ),
    Rule(_names(rf"{_ESLINT}\.(?:.*\.)?rules\..*", r"pyright\.report\w+", r"biome\.linter\..*"), _milder),
    Rule(_names(r"pytest\.norecursedirs"), _gained, "test_skipped"),
    Rule(
        _names(r"pytest\.addopts", r"package\.scripts\..*", r"(?:testenv.*|tox\..*)\.commands\w*"),
        _narrower_run,
        "test_skipped",
    ),
)


def lowered(edits: Sequence[Edited]) -> Iterator[Refusal]:
    """Refuse a patch after which a gate asks for less. Asking for more is not refused."""
    before: dict[str, Value] = {}
    after: dict[str, Value] = {}
    places: dict[str, str] = {}
    for edit in edits:
        if not configures(edit.path):
            continue
        try:
            old = _settings(edit.path, edit.before)
        except Unreadable:
            old = {}
        try:
            new = _settings(edit.path, edit.after)
        except Unreadable as why:
            yield Refusal(guard="gate_edited", path=edit.path, message=f"{why}: nobody knows what it asks for")
            continue
        before |= old
        after |= new
        places |= dict.fromkeys({*old, *new}, edit.path)
    for name in sorted(places):
        was, now = before.get(name), after.get(name)
        for rule in _RULES if was != now else ():
            if rule.names.fullmatch(name) and rule.weaker(was, now):
                message = f"{name} was {_shown(was)}, and would be {_shown(now)}: the gate would ask for less"
                yield Refusal(guard=rule.guard, path=places[name], message=message)
                break
    yield from _flags(edits)


def _settings(path: str, text: str | None) -> Settings:
    return {} if text is None else settings_of(path, text)


def _flags(edits: Sequence[Edited]) -> Iterator[Refusal]:
    """Look at thresholds that stand as options of commands, in whatever file."""
    for edit in edits:
        if edit.before is None or edit.name.endswith((".md", ".rst", ".py", ".lock")):
            continue
        was, now = _options(edit.before), _options(edit.after or "")
        for name, value in was.items():
            weaker = _rose(value, now.get(name)) if name == "max-warnings" else _fell(value, now.get(name))
            if weaker:
                message = f"--{name} was {value:g}, and is lower, higher or gone: the gate would ask for less"
                yield Refusal(guard="threshold_lowered", path=edit.path, message=message)


def _options(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in _FLAG.finditer(text):
        value, name = float(each["value"]), each["name"].removeprefix("cov-")
        worst = max if name == "max-warnings" else min
        found[name] = worst(found.get(name, value), value)
    return found


def _number(value: Value | None) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value) if isinstance(value, float | str) else None
    except ValueError:
        return None


def _list(value: Value | None) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return tuple(each for each in re.split(r"[,\s]+", value) if each) if isinstance(value, str) else ()


def _loudness(value: Value | None) -> int:
    first = value[0] if isinstance(value, tuple) and value else value
    return 0 if value is None else _LOUD.get(str(first).strip('"').lower(), 2)


def _leaving_out(value: Value | None) -> list[str]:
    text = " ".join(value) if isinstance(value, tuple) else str(value or "")
    return [found[0] for found in _LEAVING_OUT.finditer(text)]


def _shown(value: Value | None) -> str:
    if value is None:
        return "not set"
    return (", ".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value))[
        :100
    ]
