"""`runwright db`: copy, put back, check and migrate the database of a server, running or not."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from runwright import upkeep
from runwright.cli import printing
from runwright.cli.exits import FAILED, OK, CommandError
from runwright.cli.progress import bars
from runwright.config import PREFIX, Settings, load
from runwright.telemetry import attach

app = App(name="db", help="Check and migrate the database of a server; back up and restore its data directory.")

DataDir = Path | None
DatabaseUrl = str | None
URL = f"{PREFIX}DATABASE_URL"
LISTEN_URL = f"{PREFIX}DATABASE_LISTEN_URL"
RowSecurity = Annotated[bool | None, Parameter(negative="--no-row-security")]
Json = Annotated[bool, Parameter(negative="")]
_MONTHS = {
    "partitions.made": "made the months {months}",
    "partitions.not_made": "the months to come could not be made, run it again: {error}",
    "partitions.dropped": "dropped the months {months}, which retention had emptied, of {tables}",
    "partitions.not_dropped": "the month {month} could not be dropped, the next time will do: {error}",
}
"""What an upgrade tells of the partitions of PostgreSQL."""


@app.command
def backup(target: Path, /, *, without_keys: bool = False, data_dir: DataDir = None, json: Json = False) -> int:
    """Copy the database, its artifacts and keys to a new directory; the server may go on writing meanwhile.

    The copy is one state of the database: every run that was answered before the backup began is in it.

    Example: `runwright db backup /backups/today`

    Parameters
    ----------
    target
        Directory to make; it must not exist.
    without_keys
        Leave master.key and credentials.json out: keep the master key elsewhere.
    data_dir
        Data directory of the server.
    json
        Print JSON for programs.
    """
    with bars(sys.stderr) as tell:
        manifest = upkeep.backup(_settings(data_dir), target, tell, keys=not without_keys)
    if json:
        printing.show_json({"target": str(target), **msgspec.structs.asdict(manifest)})
    else:
        size = (manifest.database_bytes + manifest.artifact_bytes) / (1 << 20)
        printing.say(f"backed up to {target}: {size:.1f} MiB, {manifest.artifacts} artifacts")
    return OK


@app.command
def restore(source: Path, /, *, data_dir: DataDir = None, json: Json = False) -> int:
    """Put a backup where no data directory is; checked first, and nothing is ever overwritten.

    Example: `runwright db restore /backups/today --data-dir restored`

    Parameters
    ----------
    source
        Directory that `runwright db backup` made.
    data_dir
        Data directory to make.
    json
        Print JSON for programs.
    """
    settings = _settings(data_dir)
    with bars(sys.stderr) as tell:
        findings = asyncio.run(upkeep.restore(settings, source, tell))
    if findings:
        _show(findings, json)
        raise CommandError(f"{source} is not whole; nothing was restored", "Take another backup.")
    if json:
        printing.show_json({"restored": str(settings.data_dir)})
    else:
        printing.say(f"restored to {settings.data_dir}")
    return OK


@app.command
def check(*, database_url: DatabaseUrl = None, data_dir: DataDir = None, json: Json = False) -> int:
    """Check the schema, every log, sealed value, artifact and limit; exits with 1 if something is wrong.

    Works on a PostgreSQL database and on a data directory, beside their servers too, and on a backup. Sealed values are
    opened if the master key is at hand.

    Example: `runwright db check --data-dir /backups/today`

    Parameters
    ----------
    database_url
        PostgreSQL to check.
    data_dir
        Data directory or backup to check.
    json
        Print JSON for programs.
    """
    settings = _settings(data_dir, database_url)
    with bars(sys.stderr) as tell:
        findings = asyncio.run(upkeep.check(settings, tell))
    opened = upkeep.opens_sealed_values(settings)
    if json:
        printing.show_json({"whole": not findings, "sealed_values_opened": opened, "findings": findings})
    elif findings:
        _show(findings, json)
    else:
        printing.say("whole")
    if not opened:
        printing.note("sealed values were not opened: give RUNWRIGHT_MASTER_KEY")
    return FAILED if findings else OK


@app.command
def upgrade(
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    row_security: RowSecurity = None,
    json: Json = False,
) -> int:
    """Apply the migrations that this version brings, as the owner of the database, and make the months to come.

    On PostgreSQL the servers go on working; on SQLite stop the server first, or let it migrate at its start.

    Example: `runwright db upgrade --database-url postgresql://owner@db/runwright`

    Parameters
    ----------
    database_url
        PostgreSQL to migrate; its role must own the tables.
    data_dir
        Data directory to migrate.
    row_security
        Switch row-level security of PostgreSQL on or off; unsaid, RUNWRIGHT_DATABASE_ROW_SECURITY=true switches it on.
    json
        Print JSON for programs.
    """
    settings = _settings(data_dir, database_url)
    heard: dict[str, str] = {}
    detach = attach(lambda name, fields: heard.update({name: _MONTHS[name].format(**fields)}), *_MONTHS)
    try:
        with bars(sys.stderr) as tell:
            done = asyncio.run(upkeep.upgrade(settings, tell, row_security=row_security))
    finally:
        detach()
    for line in heard.values():
        printing.note(line)
    if json:
        applied = [{"number": each.number, "name": each.name} for each in done.applied]
        printing.show_json({"applied": applied, "row_security": done.row_security})
    elif done.applied:
        printing.table(("applied", "name"), [(each.number, each.name) for each in done.applied])
    if done.switched and not json:
        printing.say(f"row-level security is {done.row_security}")
    elif not (done.applied or heard or json):
        printing.say("nothing to do")
    return FAILED if "partitions.not_made" in heard else OK


@app.command
def status(*, database_url: DatabaseUrl = None, data_dir: DataDir = None, json: Json = False) -> int:
    """Show the schema of the database and what this version would change; exits with 1 if migrations are pending.

    Example: `runwright db status`

    Parameters
    ----------
    database_url
        PostgreSQL to look at.
    data_dir
        Data directory to look at.
    json
        Print JSON for programs.
    """
    found = asyncio.run(upkeep.status(_settings(data_dir, database_url)))
    if json:
        printing.show_json(msgspec.structs.asdict(found))
    else:
        shown: list[tuple[str, object]] = [("schema", found.schema), ("this version's schema", found.known)]
        shown += [("least schema of code", found.least), ("pending", ", ".join(found.pending) or "none")]
        printing.detail([*shown, ("row-level security", found.row_security or "not of SQLite")])
    return FAILED if found.pending else OK


@app.command(name="copy-artifacts")
def copy_artifacts(
    *, to: Literal["bucket", "database"], database_url: DatabaseUrl = None, data_dir: DataDir = None, json: Json = False
) -> int:
    """Copy all artifacts into the bucket of RUNWRIGHT_S3_BUCKET, or from there beside the database again.

    Each is checked by its digest; nothing is removed. Servers may run: copy, let them use the other place, copy again.

    Example: `runwright db copy-artifacts --to bucket`

    Parameters
    ----------
    to
        bucket, or database: the tables of PostgreSQL, or the data directory beside SQLite.
    database_url
        PostgreSQL whose artifacts are copied.
    data_dir
        Data directory whose artifacts are copied.
    json
        Print JSON for programs.
    """
    settings = _settings(data_dir, database_url)
    with bars(sys.stderr) as tell:
        count = asyncio.run(upkeep.copy_artifacts(settings, tell, to_bucket=to == "bucket"))
    if json:
        printing.show_json({"to": to, "artifacts": count})
    else:
        printing.say(f"copied {count} artifacts to the {to}")
    return OK


def _settings(data_dir: Path | None, database_url: str | None = None) -> Settings:
    # A server must have a master key with a database; who only looks at the schema need not.
    environment = {name: value for name, value in os.environ.items() if name not in (URL, LISTEN_URL)}
    settings = load(environment, None, {"data_dir": data_dir})
    if database_url is None and data_dir is None:
        database_url = os.environ.get(URL) or settings.database_url
    return replace(settings, database_url=database_url)  # what is named here counts, not what the servers use


def _show(findings: list[upkeep.Finding], json: bool) -> None:
    if not json:
        printing.table(("where", "what", "how"), [(each.where, each.what, each.how) for each in findings])
