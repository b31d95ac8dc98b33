"""`runwright migrate-store`: move everything from a data directory into an empty PostgreSQL."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from cyclopts import Parameter

from runwright import upkeep
from runwright.cli import printing
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.progress import bars
from runwright.config import load


def migrate_store(
    *,
    source: Annotated[str, Parameter(name="--from")],
    target: Annotated[str, Parameter(name="--to")],
    json: bool = False,
) -> int:
    """Move runs, queues, keys and artifacts of a stopped server into an empty PostgreSQL, all of it or nothing.

    What arrives is checked as by `runwright db check` before it counts. Afterwards servers refuse the data directory.
    The master key stays the same: give it to the servers of the new database.

    Example: `runwright migrate-store --from /var/lib/runwright --to postgresql://owner@db/runwright`

    Parameters
    ----------
    source
        Data directory of a server that is stopped, or sqlite:///directory.
    target
        URL of an empty PostgreSQL database; its role will own the tables.
    json
        Print JSON for programs.
    """
    directory = _directory(source)
    if not target.startswith(("postgresql://", "postgres://")):
        raise UsageError(f"--to must be a postgresql:// URL, not {target}")
    settings = load(os.environ, None, {"data_dir": directory}, without="database_")
    with bars(sys.stderr) as tell:
        moved, findings = asyncio.run(upkeep.move(settings, target, tell))
    if json:
        printing.show_json({"moved": None if findings else msgspec.structs.asdict(moved), "findings": findings})
    elif findings:
        printing.table(("where", "what", "how"), [(each.where, each.what, each.how) for each in findings])
        printing.fail(f"nothing was moved: mend or restore {directory} first, as `runwright db check` tells")
    else:
        printing.table(("table", "rows"), [(name, count) for name, count in moved.tables.items() if count])
        printing.say(f"{'was moved before' if moved.again else 'moved'}, with {moved.artifacts} artifacts; whole")
        printing.say(f"serve it with RUNWRIGHT_DATABASE_URL and RUNWRIGHT_MASTER_KEY, the master key of {directory}")
    return FAILED if findings else OK


def _directory(source: str) -> Path:
    parts = urlsplit(source)
    if parts.scheme not in ("", "sqlite"):
        raise UsageError(f"--from must be a data directory or sqlite:///directory, not {source}")
    path = Path(parts.netloc + parts.path if parts.scheme else source).expanduser()
    return path.parent if path.name == "runwright.db" else path
