"""`runwright events`: wake the runs that wait for something, and start jobs by it."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import json_object
from runwright.cli.runs import Source

app = App(name="events", help="Send events to the runs that wait for them and the jobs that they start.")


@app.command
def send(
    key: str,
    payload: Source = None,
    /,
    *,
    prefix: bool = False,
    project: str | None = None,
    idempotency_key: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Send an event; where no run waits for it, it is kept for the first that does.

    Example: `runwright events send order-4711-paid '{"amount": 12}'`

    Parameters
    ----------
    key
        What the runs wait for.
    payload
        JSON object, @FILE or - for stdin.
    prefix
        Wake all that wait for a key which begins so.
    project
        Id or slug of their project.
    idempotency_key
        Sent twice with the same one, it counts once.
    """
    data = None if payload is None else json_object(payload, "PAYLOAD")
    with connection.client() as client:
        if prefix:
            sent = client.events.send_prefix(key, data, project_id=project, idempotency_key=idempotency_key)
        else:
            sent = client.events.send(key, data, project_id=project, idempotency_key=idempotency_key)
    if connection.json:
        printing.show_json(sent.raw)
        return
    for run_id in sent.woken:
        print(f"{run_id}  woken")
    for run_id in sent.triggered:
        print(f"{run_id}  started")
    for each in sent.refused:
        print(f"{each.job}  not started: {each.error}")
    if sent.kept:
        print("nobody waits for it: kept for the first run that does")
    if sent.more:
        print("more runs wait for it: send it again")
