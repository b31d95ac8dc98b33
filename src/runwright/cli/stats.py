"""`runwright stats`: throughput, latencies, failures and depth."""

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection


def stats(
    *, project: str | None = None, job: str | None = None, window: str = "1h", connection: Connection = HERE
) -> None:
    """Show what became of runs lately, and how many are live.

    Example: `runwright stats --job report --window 24h`

    Parameters
    ----------
    project
        Id or slug of a project; default: all that the key may see.
    job
        Id of a job, or its slug in the project.
    window
        How far back: 30m, 24h, 7d.
    """
    with connection.client() as client:
        found = client.stats(project_id=project, job_id=job, window=window)
    if connection.json:
        printing.show_json(found.raw)
        return
    printing.detail(
        [
            ("ended", f"{found.ended} ({found.throughput_per_s:.3g} a second)"),
            *((_end(end), end.get("count")) for end in found.ends or ()),
            ("retries", found.retries),
            ("dead-lettered", found.dead_lettered),
            *((name, _times(times)) for name, times in (found.latency or {}).items() if found.ended),
            ("live", " ".join(f"{state}={count}" for state, count in (found.depth or {}).items())),
        ]
    )


def _end(end: dict[str, object]) -> str:
    return f"  {end.get('state')} ({end.get('reason')})" if end.get("reason") else f"  {end.get('state')}"


def _times(times: dict[str, float | None]) -> str:
    return ", ".join(f"{name.removesuffix('_ms')} {printing.duration(ms)}" for name, ms in times.items())
