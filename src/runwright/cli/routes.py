"""`runwright routes`: which models agent runs may ask."""

from typing import Any, Literal, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, json_object
from runwright.client.thread_fields import RouteChanges, RouteFields

app = App(name="routes", help="List, read, make, change and delete routes to models.")

COLUMNS = ("id", "name", "kind", "model", "provider", "project_id", "updated_at")
Kind = Literal["openai", "openai-compatible", "anthropic", "local", "scripted"]


@app.command(name="list")
def list_routes(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List routes.

    Example: `runwright routes list`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.routes.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(route: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a route, by id or name.

    Example: `runwright routes get local`

    Parameters
    ----------
    route
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.routes.get(route, project_id=project), connection.json)


@app.command
def create(
    name: str,
    kind: Kind,
    model: str,
    /,
    *,
    provider: str | None = None,
    price: str | None = None,
    max_output_tokens: int | None = None,
    context_window: int | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a route.

    Example: `runwright routes create fast openai gpt-4.1-mini --provider openai`

    Parameters
    ----------
    name
        What threads and personas call it.
    kind
        How it is asked: openai, openai-compatible, anthropic, local or scripted.
    model
        Which model.
    provider
        Name of the provider whose key it is asked with.
    price
        JSON object of millionths of a dollar per million tokens: '{"input": 400000, "output": 1600000}', or @FILE.
    max_output_tokens
        How long an answer may be.
    context_window
        How much the model reads.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    fields = _fields(kind, model, provider, price, max_output_tokens, context_window)
    fields |= {} if project is None else {"project_id": project}
    with connection.client() as client:
        printing.show_record(client.routes.create(name, **cast(RouteFields, fields)), connection.json)


@app.command
def update(
    route: str,
    /,
    *,
    kind: Kind | None = None,
    model: str | None = None,
    provider: str | None = None,
    price: str | None = None,
    max_output_tokens: int | None = None,
    context_window: int | None = None,
    clear: tuple[Literal["provider", "price"], ...] = (),
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Change a route; runs that are there keep the model and the price that they were made with.

    Example: `runwright routes update fast --model gpt-4.1`

    Parameters
    ----------
    route
        Id or name.
    kind
        How it is asked.
    model
        Which model.
    provider
        Name of the provider whose key it is asked with.
    price
        JSON object of millionths of a dollar per million tokens, or @FILE.
    max_output_tokens
        How long an answer may be.
    context_window
        How much the model reads.
    clear
        provider or price: name none again; repeatable.
    project
        Id or slug of its project.
    """
    fields = _fields(kind, model, provider, price, max_output_tokens, context_window) | dict.fromkeys(clear)
    if not fields:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --model.")
    with connection.client() as client:
        changed = client.routes.update(route, project_id=project, **cast(RouteChanges, fields))
        printing.show_record(changed, connection.json)


@app.command
def delete(route: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a route.

    Example: `runwright routes delete fast --yes`

    Parameters
    ----------
    route
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        confirm(f"This deletes the route {route}; threads and personas that name it find no model any more.", yes)
        client.routes.delete(route, project_id=project)
    printing.show_json({"deleted": route}) if connection.json else printing.say(f"deleted {route}")


def _fields(
    kind: str | None,
    model: str | None,
    provider: str | None,
    price: str | None,
    max_output_tokens: int | None,
    context_window: int | None,
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "kind": kind,
        "model": model,
        "provider": provider,
        "price": None if price is None else json_object(price, "--price"),
        "max_output_tokens": max_output_tokens,
        "context_window": context_window,
    }
    return {name: value for name, value in given.items() if value is not None}
