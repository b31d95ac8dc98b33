"""What the pages say by name is there: links, settings, endpoints, event types, the version."""

import re
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from runwright import errors
from runwright.api.surface import TABLES
from runwright.cli.main import COMMANDS
from runwright.config import SETTINGS, load
from runwright.domain.events import CATALOGUE
from runwright.domain.tenancy import SCOPES
from runwright.observability.catalogue import METRICS
from tests.docs.pages import ROOT, blocks, documents, text

LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
ENDPOINT = re.compile(r"`?\b(?P<method>GET|POST|PATCH|PUT|DELETE) (?P<path>/[a-z0-9/_{}:.-]*)")
VARIABLE = re.compile(r"\bRUNWRIGHT_[A-Z][A-Z0-9_]*")
EVENT = re.compile(r"`((?:run|log|stream|output|checkpoint|step)\.[a-z_]+)`")
CODE = re.compile(r"`((?:runs|jobs|store|server|auth|idempotency|limits|request|keyring)\.[a-z_]+)`")
COMMAND = re.compile(r"`runwright ([a-z-]+)")
METRIC = re.compile(r"\b(runwright_[a-z_]+?)(?:_bucket|_sum|_count)?\b(?!/)")
SCOPE = re.compile(r"`([a-z]+:[a-z]+)`")
PARTS = ("Context", "Decision", "Consequences", "The plan")
FILES = {"server.lock"}
NOT_SETTINGS = {"RUNWRIGHT_CONFIG", "RUNWRIGHT_TEST_DATABASE_URL", "RUNWRIGHT_URL"}
NOT_SETTINGS |= {f"RUNWRIGHT_{name}" for name in ("RUN_ID", "JOB_ID", "ATTEMPT", "RUN_TOKEN", "API_URL")}
NOT_SETTINGS |= {f"RUNWRIGHT_{name}_FILE" for name in ("PAYLOAD", "CHECKPOINT", "RESULT")}
"""What commands are told of their run, and where a client looks."""

pages = pytest.mark.parametrize("page", documents())


@pages
def test_every_link_leads_somewhere(page: str) -> None:
    for link in LINK.finditer(text(page)):
        address, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", address):
            continue
        target = (ROOT / page).parent / address if address else ROOT / page
        assert target.exists(), f"{page} links to {link['target']}"
        if anchor:
            assert anchor in anchors(target), f"{page} links to {link['target']}"


@pages
def test_every_endpoint_is_one_of_the_surface(page: str) -> None:
    known = {(endpoint.method, shape(endpoint.path)) for table in TABLES for endpoint in table.endpoints}
    named = {(found["method"], shape(found["path"].rstrip(".:"))) for found in ENDPOINT.finditer(text(page))}
    assert named - known == set()


@pages
def test_every_variable_is_a_setting(page: str) -> None:
    assert set(VARIABLE.findall(text(page))) - {setting.env for setting in SETTINGS} - NOT_SETTINGS == set()


@pages
def test_every_event_type_is_in_the_catalogue(page: str) -> None:
    assert set(EVENT.findall(text(page))) - CATALOGUE.keys() == set()


@pages
def test_every_error_code_every_scope_and_every_command_exists(page: str) -> None:
    codes = set(errors.catalogue()) | set(codes_in_the_source()) | set(reports_in_the_source())
    assert set(CODE.findall(text(page))) - codes - FILES == set()
    assert set(SCOPE.findall(text(page))) - SCOPES.keys() == set()
    assert set(COMMAND.findall(text(page))) - {name for name, _, _ in COMMANDS} == set()


@pages
def test_every_metric_is_in_the_catalogue(page: str) -> None:
    assert set(METRIC.findall(text(page))) - {metric.name for metric in METRICS} == set()


def test_every_file_of_settings_that_is_shown_is_valid(tmp_path: Path) -> None:
    shown = [block for page in documents() for block in blocks(page) if block.language == "toml"]
    assert shown
    for block in shown:
        file = tmp_path / "runwright.toml"
        file.write_text(block.text, encoding="utf-8")
        settings = load({}, file)
        assert all(getattr(settings, name) is not None for name in tomllib.loads(block.text))


def test_the_changelog_names_the_version() -> None:
    newest = re.search(r"^## \[(.+)\] - (?:Unreleased|\d{4}-\d\d-\d\d)$", text("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version("runwright")


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    decisions = sorted(path.name for path in (ROOT / "docs" / "design").glob("[0-9]*.md"))
    assert [name[:4] for name in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    index = text("docs/design/README.md")
    for name in decisions:
        page = text(f"docs/design/{name}")
        title = page.partition("\n")[0].removeprefix(f"# {name[:4]} ")
        assert f"| [{name[:4]}]({name}) | {title} |" in index, name
        assert [part for part in PARTS if f"\n\n**{part}.** " not in page] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = {"README.md"}, ["README.md"]
    while waiting:
        page = waiting.pop()
        for link in LINK.finditer(text(page)):
            target = ((ROOT / page).parent / link["target"].partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_relative_to(ROOT):
                name = target.relative_to(ROOT).as_posix()
                if name not in reached and target.parent.name != "reference":
                    waiting.append(name)
                reached.add(name)
    assert set(documents()) - reached == set()


def shape(path: str) -> str:
    """Return a path whatever its parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def anchors(page: Path) -> set[str]:
    """Return the anchors that viewers of Markdown give the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def reports_in_the_source() -> list[str]:
    """Return the names of what is reported to the log."""
    sources = (ROOT / "src" / "runwright").rglob("*.py")
    return [name for path in sources for name in re.findall(r'report\("([a-z_.]+)"', path.read_text(encoding="utf-8"))]


@cache
def codes_in_the_source() -> list[str]:
    """Return the error codes that single places give instead of their class's."""
    sources = (ROOT / "src" / "runwright").rglob("*.py")
    return [code for path in sources for code in re.findall(r'code="([a-z_.]+)"', path.read_text(encoding="utf-8"))]
