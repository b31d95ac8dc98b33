"""`runwright serve`: the server, until SIGTERM."""

import os
import sys
from pathlib import Path

from runwright import serving
from runwright.cli.exits import CommandError
from runwright.config import Settings, load


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    worker: tuple[str, ...] = (),
    config: Path | None = None,
) -> int:
    """Serve until SIGTERM, then drain and exit with 0. Prints `ready http://HOST:PORT` when it accepts requests.

    Every setting can also come from the environment (RUNWRIGHT_*) or the file; `docs/reference` lists them.

    Example: `runwright serve --worker reports:app --port 8080`

    Parameters
    ----------
    host
        Address to listen on; default 127.0.0.1.
    port
        Port to listen on, 0 for a free one; default 8080.
    data_dir
        Directory of the database, artifacts and keys.
    worker
        Handlers to run in the server, as module:app, found from here; repeatable.
    config
        TOML file of settings.
    """
    overrides = {"host": host, "port": port, "data_dir": data_dir, "worker": worker or None}
    return run(load(os.environ, config, overrides))


def run(settings: Settings) -> int:
    """Serve with these settings, with the modules of the current directory at hand for workers."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return serving.serve(settings)
    except LookupError as error:  # a worker that is not there
        raise CommandError(str(error), "Give --worker module:app, from the directory of the module.") from None
