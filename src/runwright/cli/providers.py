"""`runwright providers`: the keys that models are asked with; they go in, and no command shows one."""

import sys
from typing import Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, read_text

app = App(name="providers", help="List, make and delete providers, replace their keys; no command shows one.")

COLUMNS = ("id", "name", "kind", "base_url", "project_id", "version", "updated_at")


@app.command(name="list")
def list_providers(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List providers, without their keys.

    Example: `runwright providers list`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.providers.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(provider: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show what is known of a provider but its key, by id or name.

    Example: `runwright providers get openai`

    Parameters
    ----------
    provider
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.providers.get(provider, project_id=project), connection.json)


@app.command
def create(
    name: str,
    kind: Literal["openai", "openai-compatible", "anthropic"],
    api_key: str = "-",
    /,
    *,
    base_url: str | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a provider; its key is read from standard input or a file, so that no list of processes shows it.

    Example: `runwright providers create openai openai @key.txt`

    Parameters
    ----------
    name
        What routes call it.
    kind
        How it is asked: openai, openai-compatible or anthropic.
    api_key
        @FILE, or - for standard input; a line break at its end is left out.
    base_url
        Address in place of the usual.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    key = _key(api_key)
    with connection.client() as client:
        made = client.providers.create(name, kind, key, base_url=base_url, project_id=project)
        printing.show_record(made, connection.json)


@app.command
def replace(provider: str, api_key: str = "-", /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Give a provider a new key, which calls that begin from now on are made with.

    Example: `runwright providers replace openai @key.txt`

    Parameters
    ----------
    provider
        Id or name.
    api_key
        @FILE, or - for standard input; a line break at its end is left out.
    project
        Id or slug of its project.
    """
    key = _key(api_key)
    with connection.client() as client:
        printing.show_record(client.providers.replace(provider, key, project_id=project), connection.json)


@app.command
def delete(provider: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a provider that no route names.

    Example: `runwright providers delete openai --yes`

    Parameters
    ----------
    provider
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        confirm(f"This deletes the provider {provider} with its key.", yes)
        client.providers.delete(provider, project_id=project)
    printing.show_json({"deleted": provider}) if connection.json else printing.say(f"deleted {provider}")


def _key(source: str) -> str:
    if source != "-" and not source.startswith("@"):
        raise UsageError("A key is not written on the command line, where others see it.", "Give @FILE or -.")
    if source == "-" and sys.stdin.isatty():
        printing.note("Type the key, then Enter and Ctrl-D.")
    return read_text(source).removesuffix("\n").removesuffix("\r")
