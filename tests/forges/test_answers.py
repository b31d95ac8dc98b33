"""What a forge answers is read however odd it is: it is refused by its meaning, and nothing of ours breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import cycle
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.forges.answers import LIMITED_S, Answer, refusal
from runwright.forges.gitea import Gitea
from runwright.forges.github import GitHub
from runwright.forges.gitlab import GitLab
from runwright.forges.hosted import Api, HostedForge
from runwright.forges.port import Refs, Refused, Remote, Wanted
from runwright.forges.wire import Wire

DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.mark.parametrize("told", ["\u00b2", "9" * 5_000, "-1", "1.5", ""])
@pytest.mark.parametrize("name", ["retry-after", "x-ratelimit-reset"])
def test_a_time_to_wait_that_is_no_number_is_none(name: str, told: str):
    answer = Answer(429, {name: told, "x-ratelimit-remaining": "0"}, b"")
    assert refusal(answer, "it failed", FrozenClock().now()).retry_after_s == LIMITED_S


@pytest.mark.parametrize(
    "body",
    [b'{"message":' + DEEP + b"}", b'{"message":' + b"[" * 450 + b"]" * 450 + b"}", b'{"message":"\xff"}', b"<p>\xff"],
    ids=["too deep to read", "too deep to tell", "no text", "no JSON"],
)
def test_what_cannot_be_read_says_nothing(body: bytes):
    assert str(refusal(Answer(422, {}, body), "it failed", 0)) == "it failed: the forge answers 422"


@pytest.mark.parametrize("body", [DEEP, b'"\xff"', b"<p>"], ids=["too deep", "no text", "no JSON"])
def test_an_answer_that_is_no_json_is_refused(body: bytes):
    with pytest.raises(Refused, match="something else than the JSON"):
        Answer(200, {}, body).record()


def test_an_answer_of_another_form_is_refused():
    with pytest.raises(Refused, match="something else than the JSON"):
        Answer(200, {}, b"[]").record()
    with pytest.raises(Refused, match="something else than the JSON"):
        Answer(200, {}, b'["a"]').records()


NAMES = ("head", "base", "repo", "full_name", "ref", "repo_id", "state", "number", "iid", "html_url", "web_url", "name")
MORE = (*NAMES, "id", "protected", "source_project_id", "target_project_id")
WORDS = st.sampled_from(("open", "acme/site", "main", "fix"))
LEAF = st.none() | st.booleans() | st.integers(0, 9) | WORDS
PART = LEAF | st.dictionaries(st.sampled_from(MORE), LEAF, max_size=3) | st.lists(LEAF, max_size=2)
RECORD = st.dictionaries(st.sampled_from(MORE), PART, min_size=1, max_size=8)
TOLD = RECORD | st.lists(RECORD, min_size=1, max_size=3) | LEAF | st.lists(LEAF, max_size=2)


class Odd:
    """The wire to a forge that answers what it likes."""

    def __init__(self, answers: Iterator[tuple[int, Any]]) -> None:
        self._answers = answers

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        status, told = next(self._answers)
        return Answer(status, {}, msgspec.json.encode(told))

    def refusal(self, answer: Answer, what: str) -> Refused:
        return refusal(answer, what, 0)


@pytest.mark.parametrize("kind", [GitHub, GitLab, Gitea])
@given(st.lists(st.tuples(st.sampled_from((200, 200, 200, 201, 404, 422)), TOLD), min_size=1, max_size=6))
def test_whatever_json_a_forge_answers_a_request_is_open_or_refused(
    kind: type[HostedForge], answers: list[tuple[int, Any]]
):
    forge = kind(cast(Remote, None), Api(cast(Wire, Odd(cycle(answers))), "https://forge.example", {}), "acme/site")
    wanted = Wanted(branch="fix", commit_sha="c", base="main", title="t", body="b", labels=("l",), reviewers=("r",))
    for asked in (forge.require_free("fix", cast(Refs, None)), forge.find(wanted), forge.open(wanted)):
        with suppress(Refused):
            asyncio.run(asked)
