"""Guards over what hides findings: remarks in the code, and lists of what is not looked at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from runwright.domain.guards.terms import Edited, Refusal

_LINE_MAX = 4_000
_COMMENT = re.compile(r"#|//|/\*|<!--|--|;|\*|%")
_WITH_COLON = (
    "pyright|mypy|pylint|zizmor|checkov|tfsec|gitleaks|trufflehog|rubocop|phpcs|trivy|osv-scanner|snyk|devskim|swiftlint"
    "|detekt|scalastyle|sonar"
)
_PLAIN = (
    "noqa|nosec|nosemgrep|nosonar|noinspection|nolint|eslint-disable|tslint:disable|biome-ignore|deno-lint-ignore"
    "|oxlint-disable|ast-grep-ignore|phpstan-ignore|psalm-suppress|kics-scan|lint:ignore|ktlint-disable|@ts-ignore"
    "|@ts-nocheck|@ts-expect-error|no qa"
)
_REMARK = re.compile(
    rf"(?<![\w-])(?P<mark>(?:ruff|flake8)\s{{0,4}}:\s{{0,4}}noqa|(?:{_PLAIN})(?!\w)|(?:{_WITH_COLON})\s{{0,4}}:"
    r"|type\s{0,4}:\s{0,4}ignore"
    r"|pragma\s{0,4}:\s{0,4}(?:no\s?(?:cover|branch|mutate)|allowlist|whitelist)|isort\s{0,4}:\s{0,4}skip"
    r"|(?:c8|v8|istanbul|node:coverage)\s{1,4}(?:ignore|disable)|hadolint\s{1,4}ignore|shellcheck\s{1,4}disable"
    r"|(?:codeql|lgtm)\s{0,4}\[|(?:runwright|coverage)\s{0,4}:\s{0,4}(?:ignore|suppress)|bearer\s{0,4}:\s{0,4}disable)"
    r"(?P<rest>[^\n]{0,200})",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"(?P<mark>@SuppressWarnings|@Suppress\b|#!?\[(?:allow|expect)\s{0,4}\(|\[SuppressMessage|@SuppressLint"
    r"|#pragma\s{1,4}warning\s{1,4}disable|@(?:typing\.)?no_type_check|GCC diagnostic ignored)(?P<rest>[^\n]{0,200})"
)
_CODES = re.compile(r"[A-Za-z][\w./@-]{0,60}")
_BLANKET = re.compile(r"\s{0,10}(?:\*/|-->|#\}|--|$|[.;])")
_LISTS = frozenset({
    ".semgrepignore", ".gitleaksignore", ".trivyignore", ".snyk", ".eslintignore", ".stylelintignore",
    ".dockleignore", ".banditignore", ".bandit", ".banditrc", ".secrets.baseline", ".tfsecignore", ".checkovignore",
    ".ignore", ".gitleaks.toml", "gitleaks.toml", "zizmor.yml", "zizmor.yaml", ".zizmor.yml", "osv-scanner.toml",
    ".osv-scanner.toml", ".checkov.yaml", ".checkov.yml", ".trivyignore.yaml", "audit-ci.json", ".nsprc",
    "sgconfig.yml", "bandit.yml", "bandit.yaml", "bandit.toml", ".safety-policy.yml", ".hadolint.yaml",
    "mypy-baseline.txt", ".auditignore", ".rubocop_todo.yml", "phpstan-baseline.neon", "psalm-baseline.xml",
    "detekt-baseline.xml", ".sonarcloud.properties", "sonar-project.properties", ".lgtm.yml", "suppressions.xml",
})  # fmt: skip
_PROSE = (".md", ".markdown", ".rst", ".adoc", ".txt", ".csv", ".lock", ".svg")
_OURS = ".runwright/suppressions."


def suppressed(edits: Sequence[Edited]) -> Iterator[Refusal]:
    """Refuse a patch after which something hides a finding that did not before. What is moved is not new."""
    for edit in edits:
        listed = edit.name in _LISTS or edit.path.lower().startswith(_OURS)
        if listed and _added(edit):
            message = "it is a list of what is not looked at, and lines are added to it"
            yield Refusal(guard="suppression_added", path=edit.path, message=message)
    yield from _remarked([each for each in edits if not each.name.endswith(_PROSE)])


def _added(edit: Edited) -> bool:
    before = Counter(line.strip() for line in (edit.before or "").split("\n"))
    after = Counter(line.strip() for line in (edit.after or "").split("\n") if not line.lstrip().startswith("#"))
    return any(line for line in after - before)


def _remarked(edits: Sequence[Edited]) -> Iterator[Refusal]:
    left: Counter[tuple[str, str]] = Counter()
    for edit in edits:
        left.update(remark for _, remark in _remarks(edit.before))
    new: list[tuple[str, int, tuple[str, str]]] = []
    for edit in edits:
        for line, remark in _remarks(edit.after):
            if left[remark]:
                left[remark] -= 1
            else:
                new.append((edit.path, line, remark))
    for path, line, (mark, codes) in new:
        if not _narrowed(mark, codes, left):
            message = f"`{mark}` hides what is found there"
            yield Refusal(guard="suppression_added", path=path, line=line, message=message)


def _narrowed(mark: str, codes: str, left: Counter[tuple[str, str]]) -> bool:
    """Tell whether a remark stands for one that is gone and hid more: all that this one names, or everything."""
    for (word, named), count in left.items():
        wider = not named or (codes and set(codes.split()) < set(named.split()))
        if word == mark and count > 0 and codes and wider:
            left[word, named] -= 1
            return True
    return False


def _remarks(text: str | None) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the remarks of a text with their lines: a mark, and what it names, nothing of one that hides everything."""
    for number, line in enumerate((text or "").split("\n"), 1):
        line = line[:_LINE_MAX]
        comment = _COMMENT.search(line)
        found = [*_ATTRIBUTE.finditer(line)]
        if comment:
            found += [each for each in _REMARK.finditer(line) if each.start() > comment.start()]
        for each in found:
            rest = each["rest"]
            codes = "" if _BLANKET.match(rest) else " ".join(sorted(_CODES.findall(rest)))
            yield number, ("".join(each["mark"].lower().split()), codes)
