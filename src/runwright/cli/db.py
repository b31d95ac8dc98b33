"""`runwright db`: copy, put back and check the database of a server on this machine, running or not."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from runwright import app as server
from runwright.cli import printing
from runwright.cli.exits import FAILED, OK, CommandError
from runwright.cli.progress import Bar
from runwright.config import Settings, load

app = App(name="db", help="Back up, restore and check the database of a server on this machine.")

DataDir = Annotated[Path | None, Parameter(env_var="RUNWRIGHT_DATA_DIR")]
Json = Annotated[bool, Parameter(negative="")]


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
    with _bars() as tell:
        manifest = server.backup(_settings(data_dir), target, tell, keys=not without_keys)
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
    with _bars() as tell:
        findings = server.restore(settings, source, tell)
    if findings:
        _show(findings, json)
        raise CommandError(f"{source} is not whole; nothing was restored", "Take another backup.")
    if json:
        printing.show_json({"restored": str(settings.data_dir)})
    else:
        printing.say(f"restored to {settings.data_dir}")
    return OK


@app.command
def check(*, data_dir: DataDir = None, json: Json = False) -> int:
    """Check the file, its schema, every log, every artifact and every limit; exits with 1 if something is wrong.

    Works on a data directory, beside its server too, and on a backup.

    Example: `runwright db check --data-dir /backups/today`

    Parameters
    ----------
    data_dir
        Data directory or backup to check.
    json
        Print JSON for programs.
    """
    with _bars() as tell:
        findings = server.check(_settings(data_dir), tell)
    if json:
        printing.show_json({"whole": not findings, "findings": findings})
    elif findings:
        _show(findings, json)
    else:
        printing.say("whole")
    return FAILED if findings else OK


def _settings(data_dir: Path | None) -> Settings:
    return load(os.environ, None, {"data_dir": data_dir})


def _show(findings: list[server.Finding], json: bool) -> None:
    if not json:
        printing.table(("where", "what", "how"), [(each.where, each.what, each.how) for each in findings])


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Draw a bar for what is told of, on a terminal only."""
    with Bar("", sys.stderr) as bar:

        def tell(what: str, done: int, of: int) -> None:
            bar.show(done / of if of else 1.0, what)

        yield tell
