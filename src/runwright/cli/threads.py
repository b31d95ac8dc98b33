"""`runwright threads`: conversations, their messages and their runs."""

from typing import Any, Literal, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, json_object, pairs, read_text, tools
from runwright.client.thread_fields import RetryFields, StartFields, ThreadChanges, ThreadFields

app = App(name="threads", help="Make threads, talk in them, start and retry their runs.")

COLUMNS = ("id", "title", "project_id", "persona_id", "route_id", "updated_at")
MESSAGE_COLUMNS = ("seq", "role", "content", "run_id", "created_at")
RUN_COLUMNS = ("run_id", "status", "model", "persona_id", "created_at", "finished_at")
OnBusy = Literal["reject", "enqueue", "interrupt"]


@app.command(name="list")
def list_threads(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List threads, newest first.

    Example: `runwright threads list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.threads.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(thread: str, /, *, connection: Connection = HERE) -> None:
    """Show a thread.

    Example: `runwright threads get THREAD`
    """
    with connection.client() as client:
        printing.show_record(client.threads.get(thread), connection.json)


@app.command
def create(
    *,
    title: str | None = None,
    persona: str | None = None,
    route: str | None = None,
    metadata: tuple[str, ...] = (),
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a thread.

    Example: `runwright threads create --title "A question"`

    Parameters
    ----------
    title
        What it is about.
    persona
        Persona of its runs: `key`, or `key@version`.
    route
        Route of its runs, by id or name.
    metadata
        KEY=VALUE; repeatable.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    given = {"title": title, "persona_id": persona, "route_id": route, "project_id": project}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    fields["metadata"] = pairs(metadata, "--metadata")
    with connection.client() as client:
        printing.show_record(client.threads.create(**cast(ThreadFields, fields)), connection.json)


@app.command
def update(
    thread: str,
    /,
    *,
    title: str | None = None,
    persona: str | None = None,
    route: str | None = None,
    metadata: tuple[str, ...] = (),
    clear: tuple[Literal["persona", "route"], ...] = (),
    connection: Connection = HERE,
) -> None:
    """Change a thread; runs that are there keep what they were made with.

    Example: `runwright threads update THREAD --title "Another question"`

    Parameters
    ----------
    thread
        Id of the thread.
    title
        What it is about.
    persona
        Persona of its runs: `key`, or `key@version`.
    route
        Route of its runs, by id or name.
    metadata
        KEY=VALUE; repeatable; those that are given replace all.
    clear
        persona or route: leave it to the project's default again; repeatable.
    """
    given = {"title": title, "persona_id": persona, "route_id": route}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    fields |= {f"{name}_id": None for name in clear}
    if metadata:
        fields["metadata"] = pairs(metadata, "--metadata")
    if not fields:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --title.")
    with connection.client() as client:
        printing.show_record(client.threads.update(thread, **cast(ThreadChanges, fields)), connection.json)


@app.command
def delete(thread: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a thread with its messages; its runs stay.

    Example: `runwright threads delete THREAD --yes`
    """
    with connection.client() as client:
        confirm(f"This deletes the thread {thread} with its messages.", yes)
        client.threads.delete(thread)
    printing.show_json({"deleted": thread}) if connection.json else printing.say(f"deleted {thread}")


@app.command
def erase(thread: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Erase the messages of a thread and the data of all of its runs, for good.

    Example: `runwright threads erase THREAD --yes`
    """
    with connection.client() as client:
        confirm(f"This erases all data of the thread {thread} and of its runs; nothing brings them back.", yes)
        printing.show_record(client.threads.erase(thread), connection.json)


@app.command
def say(
    thread: str,
    content: str,
    /,
    *,
    role: Literal["user", "assistant", "system"] = "user",
    connection: Connection = HERE,
) -> None:
    """Add a message to a thread; runs that begin from now on answer it.

    Example: `runwright threads say THREAD "What is a lease?"`

    Parameters
    ----------
    thread
        Id of the thread.
    content
        The text, @FILE, or - for standard input.
    role
        Who says it.
    """
    with connection.client() as client:
        printing.show_record(client.threads.say(thread, read_text(content), role=role), connection.json)


@app.command
def messages(thread: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the messages of a thread, oldest first.

    Example: `runwright threads messages THREAD`
    """
    with connection.client() as client:
        rows = client.threads.messages(thread, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, MESSAGE_COLUMNS, connection.json)


@app.command
def run(
    thread: str,
    input: str | None = None,
    /,
    *,
    persona: str | None = None,
    route: str | None = None,
    model: str | None = None,
    tool: tuple[str, ...] = (),
    no_tools: bool = False,
    budget: str | None = None,
    on_busy: OnBusy = "reject",
    wait: float | None = None,
    connection: Connection = HERE,
) -> None:
    """Start a run in a thread; `runwright runs watch RUN` follows it.

    Example: `runwright threads run THREAD "What is a lease?"`

    Parameters
    ----------
    thread
        Id of the thread.
    input
        What to say first: a text, @FILE, or - for standard input.
    persona
        Persona: `key`, or `key@version`.
    route
        Route, by id or name.
    model
        Another model there.
    tool
        A tool that it may use; repeatable; default: all that its persona allows.
    no_tools
        It may use none.
    budget
        JSON object of its limits, such as '{"turns": 5}', or @FILE.
    on_busy
        Where another run has its turn: reject, enqueue or interrupt.
    wait
        Answer when it has ended, or after so many seconds.
    """
    fields = _fields(persona, route, model, tools(tool, no_tools), budget)
    fields |= {"on_busy": on_busy, **({} if input is None else {"input": read_text(input)})}
    with connection.client() as client:
        printing.show_record(client.threads.run(thread, wait=wait, **cast(StartFields, fields)), connection.json)


@app.command
def retry(
    thread: str,
    /,
    *,
    persona: str | None = None,
    route: str | None = None,
    model: str | None = None,
    tool: tuple[str, ...] = (),
    no_tools: bool = False,
    budget: str | None = None,
    wait: float | None = None,
    connection: Connection = HERE,
) -> None:
    """Take the assistant's last turn back and make its run again.

    Example: `runwright threads retry THREAD --model another-model`

    Parameters
    ----------
    thread
        Id of the thread.
    persona
        Another persona: `key`, or `key@version`.
    route
        Another route, by id or name.
    model
        Another model.
    tool
        A tool that it may use; repeatable.
    no_tools
        It may use none.
    budget
        JSON object of its limits, or @FILE.
    wait
        Answer when it has ended, or after so many seconds.
    """
    fields = _fields(persona, route, model, tools(tool, no_tools), budget)
    with connection.client() as client:
        printing.show_record(client.threads.retry(thread, wait=wait, **cast(RetryFields, fields)), connection.json)


@app.command
def runs(thread: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the runs of a thread, newest first.

    Example: `runwright threads runs THREAD`
    """
    with connection.client() as client:
        rows = client.threads.runs(thread, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, RUN_COLUMNS, connection.json)


def _fields(
    persona: str | None, route: str | None, model: str | None, tools: list[str] | None, budget: str | None
) -> dict[str, Any]:
    given: dict[str, Any] = {"persona_id": persona, "route_id": route, "model": model, "tools": tools}
    given["budget"] = None if budget is None else json_object(budget, "--budget")
    return {name: value for name, value in given.items() if value is not None}
