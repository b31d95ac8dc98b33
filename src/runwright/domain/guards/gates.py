"""Guards over the gates themselves: pipelines, what runs before the tests, and what the gates of the policy run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from runwright.domain.guards.configuration import Unreadable, Value, settings_of
from runwright.domain.guards.makefile import reached, rules_of
from runwright.domain.guards.terms import Edited, Refusal
from runwright.domain.guards.workflow import hardened

Commands = Sequence[tuple[str, ...]]

_PIPELINES = re.compile(
    r"\.(?:github|gitea|forgejo)/(?:workflows|actions)/.*|\.circleci/.*|\.buildkite/.*|\.woodpecker(?:/.*|\.ya?ml)|\.gitlab-ci\.ya?ml"
    r"|\.gitlab/ci/.*|azure-pipelines.*\.ya?ml|bitbucket-pipelines\.ya?ml|\.travis\.ya?ml|\.drone\.ya?ml|\.cirrus\.ya?ml|jenkinsfile"
    r"|\.pre-commit-config\.ya?ml|lefthook\.ya?ml|\.husky/.*|\.githooks/.*|codecov\.ya?ml|\.codecov\.ya?ml|appveyor\.ya?ml|\.github/codeowners|codeowners"
)
_WORKFLOW = re.compile(r"\.(?:github|gitea|forgejo)/workflows/[^/]+\.ya?ml")
_STEERING = re.compile(
    r"(?:.*/)?(?:conftest\.py|sitecustomize\.py|usercustomize\.py|noxfile\.py|tasks\.py|dodo\.py|[^/]+\.pth|pytest\.py|unittest\.py"
    r"|(?:jest|vitest|vite|karma|playwright|cypress|babel|eslint)\.(?:config|setup)\.[cm]?[jt]s|\.eslintrc\.c?js|\.mocharc\.[cm]?js|karma\.conf\.js"
    r"|jest\.setup\.[jt]s|setuptests\.[jt]s|justfile|taskfile\.ya?ml|rakefile|runtests\.\w+|run_tests\.\w+|\.rspec|phpunit\.xml(?:\.dist)?)"
)
_STEERED = re.compile(
    r"(?:pytest|tox|testenv.*|nox|hatch\.envs|poe|taskipy|pdm\.scripts|invoke|rye\.scripts|pixi\.tasks|unittest|behave)\b.*"
    r"|package\.(?:jest|mocha|ava|tap|husky|lint_staged)\b.*"
)
_ASKED_ELSEWHERE = re.compile(
    r"pytest\.(?:testpaths|python_files|python_classes|python_functions|filterwarnings|required_plugins|xfail_strict|strict\w*"
    r"|norecursedirs|minversion|timeout|markers|log_\w+|console_output_style)|package\.jest\..*coveragethreshold.*"
)
_SCRIPTS = "package.scripts."
_INTERPRETERS = re.compile(r"(?:python[\d.]*|sh|bash|dash|zsh|node|deno|bun|ruby|perl|php|tsx|ts-node)\Z")
_NAMED = frozenset(
    {
        "test",
        "tests",
        "check",
        "checks",
        "lint",
        "typecheck",
        "types",
        "verify",
        "validate",
        "ci",
        "coverage",
        "format",
        "audit",
        "build",
    }
)


def edited(edits: Sequence[Edited], commands: Commands) -> Iterator[Refusal]:
    """Refuse a patch that changes what a gate does. The hardening of a workflow is none."""
    scripts = _scripts(commands)
    for edit in edits:
        small = edit.path.lower()
        if _PIPELINES.fullmatch(small):
            if not (_WORKFLOW.fullmatch(small) and hardened(edit.before, edit.after)):
                yield _refused(edit.path, "it is a part of a pipeline")
        elif _STEERING.fullmatch(small):
            yield _refused(edit.path, "it steers how tests are run")
        elif edit.path in scripts:
            yield _refused(edit.path, "a gate runs it")
        elif edit.name in {"makefile", "gnumakefile"} or small.endswith(".mk"):
            yield from _made(edit, commands)
        elif edit.name in {"pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", ".pytest.ini", "package.json"}:
            yield from _steered(edit)


def _refused(path: str, message: str) -> Refusal:
    return Refusal(guard="gate_edited", path=path, message=message)


def _scripts(commands: Commands) -> set[str]:
    """Return the files that gates run: a program by its path, or what an interpreter is given first."""
    found: set[str] = set()
    for words in commands:
        names = [word for word in words if not word.startswith("-")]
        if not names:
            continue
        first = names[0]
        if _INTERPRETERS.match(PurePosixPath(first).name) and len(words) > 1 and not words[1].startswith(("-m", "-c")):
            found.update(str(PurePosixPath(name)) for name in names[1:2])
        found.add(str(PurePosixPath(first)))
    return {name for name in found if "/" in name or "." in name}


def _made(edit: Edited, commands: Commands) -> Iterator[Refusal]:
    """Look at the targets that gates make, those that they need, and all that is set outside of targets."""
    asked = {word for words in commands if PurePosixPath(words[0]).name in {"make", "gmake"} for word in words[1:]}
    was, now = rules_of(edit.before or ""), rules_of(edit.after or "")
    goals = asked | (_NAMED & was.targets.keys()) | ({was.first} if was.first else set())
    changed = [name for name in sorted(reached(was, goals)) if was.targets[name] != now.targets.get(name)]
    if changed:
        yield _refused(edit.path, f"a gate makes {', '.join(changed)[:200]}, and it would be made in another way")
    elif goals & was.targets.keys() and was.outside != now.outside:
        yield _refused(edit.path, "what is set or included outside of its targets changes how gates are made")


def _steered(edit: Edited) -> Iterator[Refusal]:
    try:
        was = {} if edit.before is None else settings_of(edit.path, edit.before)
        now = {} if edit.after is None else settings_of(edit.path, edit.after)
    except Unreadable:
        return  # whoever looks at thresholds refuses it
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name) and _steers(name, was, now):
            yield _refused(edit.path, f"{name} says how a gate is run")
            return


def _steers(name: str, was: dict[str, Value], now: dict[str, Value]) -> bool:
    if name.startswith(_SCRIPTS):
        script = name.removeprefix(_SCRIPTS)
        hook = script.removeprefix("pre").removeprefix("post")
        return name in was or script in _NAMED or (hook != script and f"{_SCRIPTS}{hook}" in {**was, **now})
    return _STEERED.fullmatch(name) is not None and _ASKED_ELSEWHERE.fullmatch(name) is None
