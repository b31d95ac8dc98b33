"""The reference says what the code does, and all of it."""

import re

import pytest

from docs import generate_client
from docs.generate import REFERENCE, stale
from runwright import errors
from runwright.api.threads.surface import TABLES as OF_THREADS
from runwright.cli.main import app
from runwright.config import SETTINGS
from runwright.domain.agent_events import RECORDS
from runwright.domain.events import CATALOGUE
from runwright.domain.run import STATES
from runwright.observability.catalogue import METRICS, OF_THE_PROCESS

NAMES = {
    "settings.md": [f"`{setting.env}`" for setting in SETTINGS],
    "events.md": [f"\n## {name}\n" for name in CATALOGUE],
    "errors.md": [f"`{code}`" for code in errors.catalogue()],
    "states.md": [f"\n| {state} |" for state in STATES if state in "scheduled queued executing waiting paused"],
    "metrics.md": [f"`{name}`" for name in (*(metric.name for metric in METRICS), *OF_THE_PROCESS)],
    "specification.md": [
        *(f"\n### {each.method} {each.path}\n" for table in OF_THREADS for each in table.endpoints),
        *(f"\n### {name}\n" for name, entry in CATALOGUE.items() if entry.of_agent or name in RECORDS),
    ],
    "cli.md": [f"runwright {name}" for name in app if not name.startswith("-")],
}


def test_the_generated_reference_is_current() -> None:
    assert list(stale()) == [], "run: make docs"


def test_the_generated_client_is_current() -> None:
    assert list(generate_client.stale()) == [], "run: make docs"


def test_nothing_asynchronous_is_left_in_the_generated_client() -> None:
    left = re.compile(r"\b(async|await|asyncio|Async\w+|Awaitable|__a\w+__)\b")
    assert {name: left.findall(text) for name, text in generate_client.files().items() if left.search(text)} == {}


@pytest.mark.parametrize("page", NAMES)
def test_the_page_names_everything_there_is(page: str) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    assert NAMES[page], "nothing to document"
    assert [name for name in NAMES[page] if name not in text] == []


def test_every_setting_and_event_says_what_it_is() -> None:
    assert [setting.name for setting in SETTINGS if not setting.help] == []
    assert [name for name, entry in CATALOGUE.items() if not (entry.data.__doc__ or "").strip()] == []


def test_the_specification_names_no_event_that_there_is_not() -> None:
    text = (REFERENCE / "specification.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:run|message|llm|tool|usage|budget)\.[a-z_]+)`", text))
    assert named - CATALOGUE.keys() == set()
    assert "{{" not in text
