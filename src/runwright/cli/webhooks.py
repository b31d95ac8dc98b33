"""`runwright webhooks`: who is told of events of runs, and what became of each message."""

from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm
from runwright.client.fields import DeliveryFilters, SubscriptionChanges, SubscriptionFields

app = App(name="webhooks", help="Subscribe to events of runs, read the log of deliveries, send again.")

SHOWN_ONCE = "The signing secret is not shown again: give it to the receiver now."
COLUMNS = ("id", "project_id", "url", "event_types", "enabled", "failing_since")
DELIVERY_COLUMNS = ("id", "event_type", "run_id", "status", "attempt", "response_status", "error", "next_attempt_at")
Enabled = Annotated[bool | None, Parameter(negative="--disabled")]


@app.command(name="list")
def list_webhooks(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List subscriptions.

    Example: `runwright webhooks list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.webhooks.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(subscription: str, /, *, connection: Connection = HERE) -> None:
    """Show a subscription.

    Example: `runwright webhooks get SUBSCRIPTION`
    """
    with connection.client() as client:
        printing.show_record(client.webhooks.get(subscription), connection.json)


@app.command
def create(
    url: str,
    /,
    *,
    event: tuple[str, ...] = (),
    description: str | None = None,
    project: str | None = None,
    enabled: Enabled = None,
    connection: Connection = HERE,
) -> None:
    """Let an address be told of events of runs; its signing secret is shown this once.

    Example: `runwright webhooks create https://example.com/hooks --event run.failed`

    Parameters
    ----------
    url
        Address that messages are posted to.
    event
        Type of event, such as `run.completed`, or `*`; repeatable, default: the ends of runs.
    description
        What it is for.
    project
        Id or slug of the project; default: the key's, else `default`.
    enabled
        Whether it is told at once.
    """
    given: dict[str, Any] = {"url": url, "description": description, "project_id": project, "enabled": enabled}
    given["event_types"] = list(event) or None
    fields = {name: value for name, value in given.items() if value is not None}
    with connection.client() as client:
        printing.show_record(client.webhooks.create(**cast(SubscriptionFields, fields)), connection.json)
    if not connection.json:
        printing.note(SHOWN_ONCE)


@app.command
def update(
    subscription: str,
    /,
    *,
    url: str | None = None,
    event: tuple[str, ...] = (),
    description: str | None = None,
    enabled: Enabled = None,
    connection: Connection = HERE,
) -> None:
    """Change a subscription; one that is enabled again begins anew.

    Example: `runwright webhooks update SUBSCRIPTION --enabled`

    Parameters
    ----------
    subscription
        Id of the subscription.
    url
        Address that messages are posted to.
    event
        Type of event; repeatable, replaces those that were named.
    description
        What it is for.
    enabled
        Whether it is told.
    """
    given: dict[str, Any] = {"url": url, "description": description, "enabled": enabled}
    given["event_types"] = list(event) or None
    fields = {name: value for name, value in given.items() if value is not None}
    if not fields:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --enabled.")
    with connection.client() as client:
        changed = client.webhooks.update(subscription, **cast(SubscriptionChanges, fields))
        printing.show_record(changed, connection.json)


@app.command
def rotate_secret(
    subscription: str, /, *, grace_secs: int | float | None = None, connection: Connection = HERE
) -> None:
    """Give a subscription a new signing secret, shown this once.

    Example: `runwright webhooks rotate-secret SUBSCRIPTION`

    Parameters
    ----------
    subscription
        Id of the subscription.
    grace_secs
        Seconds for which the old secret signs beside the new one; default: a day.
    """
    with connection.client() as client:
        printing.show_record(client.webhooks.rotate_secret(subscription, grace_secs=grace_secs), connection.json)
    if not connection.json:
        printing.note(SHOWN_ONCE)


@app.command
def ping(subscription: str, /, *, connection: Connection = HERE) -> None:
    """Send a message that only shows that messages arrive.

    Example: `runwright webhooks ping SUBSCRIPTION`
    """
    with connection.client() as client:
        printing.show_record(client.webhooks.ping(subscription), connection.json)


@app.command
def delete(subscription: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a subscription; the log of its deliveries stays.

    Example: `runwright webhooks delete SUBSCRIPTION --yes`
    """
    with connection.client() as client:
        if not yes:
            found = client.webhooks.get(subscription)
            confirm(f"This deletes the subscription {found.id}; {found.url} is told nothing more.", yes)
        client.webhooks.delete(subscription)
    if connection.json:
        printing.show_json({"deleted": subscription})
    else:
        printing.say(f"deleted {subscription}")


@app.command
def deliveries(
    *,
    subscription: str | None = None,
    job: str | None = None,
    run: str | None = None,
    event: str | None = None,
    status: Literal["pending", "delivered", "failed"] | None = None,
    project: str | None = None,
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """List what was sent or is to be, newest first.

    Example: `runwright webhooks deliveries --status failed`

    Parameters
    ----------
    subscription
        Id of the subscription that they are for.
    job
        Id of the job whose own webhook they are for.
    run
        Id of the run that they tell of.
    event
        Type of event.
    status
        Whether they wait, arrived, or were given up.
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    given: dict[str, Any] = {"subscription_id": subscription, "job_id": job, "run_id": run, "event_type": event}
    given |= {"status": status, "project_id": project, "limit": min(limit, 500)}
    filters = {name: value for name, value in given.items() if value is not None}
    with connection.client() as client:
        rows = client.webhooks.deliveries(**cast(DeliveryFilters, filters)).first(limit)
    printing.show_rows(rows, DELIVERY_COLUMNS, connection.json)


@app.command
def delivery(delivery: str, /, *, connection: Connection = HERE) -> None:
    """Show a delivery.

    Example: `runwright webhooks delivery DELIVERY`
    """
    with connection.client() as client:
        printing.show_record(client.webhooks.delivery(delivery), connection.json)


@app.command
def redeliver(delivery: str, /, *, connection: Connection = HERE) -> None:
    """Send a message again that arrived or was given up, under the same id.

    Example: `runwright webhooks redeliver DELIVERY`
    """
    with connection.client() as client:
        printing.show_record(client.webhooks.redeliver(delivery), connection.json)


@app.command
def schemas(*, connection: Connection = HERE) -> None:
    """Print the JSON Schema of every type of message.

    Example: `runwright webhooks schemas`
    """
    with connection.client() as client:
        printing.show_json(client.webhooks.schemas())
