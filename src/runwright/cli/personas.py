"""`runwright personas`: whom agent runs speak as, in versions that never change."""

from typing import Any, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import json_object, read_text, tools
from runwright.client.thread_fields import PersonaFields

app = App(name="personas", help="List, read and make versions of personas.")

COLUMNS = ("persona_id", "project_id", "route", "model", "description", "created_at")


@app.command(name="list")
def list_personas(
    *, key: str | None = None, project: str | None = None, limit: int = 50, connection: Connection = HERE
) -> None:
    """List versions of personas, newest first.

    Example: `runwright personas list --key default`

    Parameters
    ----------
    key
        The versions of one persona.
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.personas.list(key=key, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(persona: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a persona: `key@version`, or the latest version of a `key`.

    Example: `runwright personas get default`

    Parameters
    ----------
    persona
        `key`, or `key@version`.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.personas.get(persona, project_id=project), connection.json)


@app.command
def create(
    key: str,
    /,
    *,
    prompt: str | None = None,
    description: str | None = None,
    route: str | None = None,
    model: str | None = None,
    tool: tuple[str, ...] = (),
    no_tools: bool = False,
    deny: tuple[str, ...] = (),
    temperature: float | None = None,
    risk_threshold: str | None = None,
    answer_within: int | None = None,
    budget: str | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make the next version of a persona.

    Example: `runwright personas create helper --prompt @prompt.md --tool files`

    Parameters
    ----------
    key
        What it is called.
    prompt
        What the model is told first: a text, @FILE, or - for standard input.
    description
        What it is for.
    route
        Route that its runs ask, by name.
    model
        Another model there.
    tool
        A tool that it allows; repeatable; default: all.
    no_tools
        It allows none.
    deny
        A tool that it never allows; repeatable.
    temperature
        How freely the model answers, 0 to 2.
    risk_threshold
        low, medium or high: calls of tools from there on are confirmed by a person.
    answer_within
        Seconds after which a question that nobody answered ends its run; default: it waits for ever.
    budget
        JSON object of the limits of its runs, such as '{"turns": 5}', or @FILE.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    given: dict[str, Any] = {"description": description, "route": route, "model": model, "project_id": project}
    given |= {"temperature": temperature, "risk_threshold": risk_threshold, "answer_within_s": answer_within}
    given |= {"tools": tools(tool, no_tools), "denied_tools": list(deny) or None}
    given |= {"prompt": None if prompt is None else read_text(prompt)}
    given |= {"budget": None if budget is None else json_object(budget, "--budget")}
    with connection.client() as client:
        printing.show_record(client.personas.create(key, **_said(given)), connection.json)


def _said(given: dict[str, Any]) -> PersonaFields:
    return cast(PersonaFields, {name: value for name, value in given.items() if value is not None})
