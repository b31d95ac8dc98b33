"""A test of each route, of which those of one noun are one test: thousands of tests cost more than what they ask."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any

import pytest

from runwright.api.routing import Endpoint
from tests.acceptance.table import name

NOUN = re.compile(r"(?:/\w+)?/v1/[^/:{]+|.+")
"""The part of a path that says what a route is about."""
Test = Callable[..., Awaitable[None]]


def each_of(routes: Iterable[Endpoint | str]) -> Callable[[Test], Test]:
    """Give a test its `endpoint` or `path`, one after the other; what fails is named, and the others are tried yet."""
    nouns: dict[str, list[Endpoint | str]] = {}
    for route in routes:
        noun = NOUN.match(route if isinstance(route, str) else route.path)
        assert noun is not None
        nouns.setdefault(noun[0], []).append(route)

    def gathered(test: Test) -> Test:
        signature = inspect.signature(test)
        (given,) = {"endpoint", "path"} & signature.parameters.keys()

        @wraps(test)
        async def tried(**fixtures: Any) -> None:
            failed: dict[str, Exception] = {}
            for route in fixtures.pop("those"):
                try:
                    await test(**{given: route}, **fixtures)
                except Exception as failure:  # noqa: BLE001 - raised below
                    failed[route if isinstance(route, str) else name(route)] = failure
            for first in failed.values():  # one of them: a group would take the loop of the tests along
                first.add_note(f"failed: {', '.join(failed)}")
                raise first

        others = [each for each in signature.parameters.values() if each.name != given]
        those = inspect.Parameter("those", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        tried.__dict__["__signature__"] = signature.replace(parameters=[*others, those])
        decorated: Test = pytest.mark.parametrize("those", nouns.values(), ids=nouns)(tried)
        return decorated

    return gathered
