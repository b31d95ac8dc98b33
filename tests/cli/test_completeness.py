"""Whatever the client can do, a command does."""

import ast
from collections.abc import Iterator

from runwright.client.sync.api import Client
from tests.house.tree import Module, dotted, source

NO_COMMAND = {
    "runs.wait": "`runs watch` waits, and shows what it waits for",
    "close": "every command does at its end",
}


def calls(module: Module) -> Iterator[str]:
    """Yield what a file of the command line calls of the client: `jobs.list`, `me`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            owner, _, name = dotted(node).partition("client.")
            if not owner and name:
                yield name


def methods(client: object, prefix: str = "") -> Iterator[str]:
    """Yield the public methods of a client and its parts, by dotted name."""
    for name in dir(client):
        member = getattr(client, name)
        if name.startswith("_") or name == "transport":
            continue  # the transport lies below the calls
        if callable(member):
            yield prefix + name
        elif not isinstance(member, str):
            yield from methods(member, f"{name}.")


def test_every_method_of_the_client_is_called_by_a_command() -> None:
    called = {name for module in source() if module.room == "cli" for name in calls(module)}
    with Client("http://127.0.0.1") as client:
        assert set(methods(client)) - called - NO_COMMAND.keys() == set()
