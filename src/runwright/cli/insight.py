"""`runwright runs why|timeline|debug-bundle`: what went wrong with a run, and where its time went."""

from pathlib import Path

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection


def why(run: str, /, *, connection: Connection = HERE) -> None:
    """Tell why a run is not executing: its time, a full limit, its queue, no worker.

    Example: `runwright runs why RUN`

    Parameters
    ----------
    run
        Id of the run.
    """
    with connection.client() as client:
        found = client.runs.why(run)
    if connection.json:
        printing.show_json(found.raw)
    else:
        printing.say(f"{found.code}: {found.message}")


def timeline(run: str, /, *, connection: Connection = HERE) -> None:
    """Show where a run's time went: states, attempts, phases of dispatch, steps and tool calls.

    Example: `runwright runs timeline RUN`

    Parameters
    ----------
    run
        Id of the run.
    """
    with connection.client() as client:
        found = client.runs.timeline(run)
    if connection.json:
        printing.show_json(found.raw)
        return
    rows = [
        (
            f"{'' if span.parent_id is None else '  '}{span.name}",
            span.kind,
            span.started_at,
            "" if span.duration_us is None else printing.duration(span.duration_us / 1000),
            span.reason,
        )
        for span in found.spans
    ]
    printing.table(("name", "kind", "started_at", "took", "reason"), rows)
    if found.truncated:
        printing.note("the log tells more than is shown")


def debug_bundle(run: str, /, *, output: Path | None = None, connection: Connection = HERE) -> None:
    """Print all about a run as JSON, redacted: to be attached to a report.

    Example: `runwright runs debug-bundle RUN --output bundle.json`

    Parameters
    ----------
    run
        Id of the run.
    output
        File to write; without it the bundle is printed.
    """
    with connection.client() as client:
        found = client.runs.debug_bundle(run)
    text = printing.json_text(found.raw)
    if output is None:
        printing.show_json(found.raw)
        return
    output.write_text(text, encoding="utf-8")
    printing.note(f"written to {output}")
    for part in found.truncated:
        printing.note(f"{part}: there is more than the bundle holds")
