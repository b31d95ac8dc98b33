"""`runwright worker`: execute the runs of a server elsewhere, until SIGTERM."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from runwright.cli import exits, printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import CommandError, UsageError
from runwright.cli.hints import hint
from runwright.client.errors import ApiError, ClientError
from runwright.client.outcome import Outcome
from runwright.client.processes import ProcessCall
from runwright.client.remote import RemoteWorker
from runwright.client.session import Session
from runwright.client.worker import Worker, load_worker
from runwright.config import load
from runwright.errors import InvalidSettings
from runwright.executors.process.run import run_process
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means, NoSandbox


def worker(
    handlers: str | None = None,
    /,
    *,
    connection: Connection = HERE,
    processes: Annotated[bool, Parameter(negative=())] = False,
    slots: Annotated[int, Parameter(validator=Number(gte=1, lte=100_000))] = 10,
    queue: tuple[str, ...] = (),
    name: str = "",
    code_version: str = "",
    drain_secs: Annotated[float, Parameter(validator=Number(gte=0))] = 30.0,
    register: Annotated[bool, Parameter(negative="--no-register")] = True,
) -> int:
    """Claim runs from a server and execute their handlers here; SIGTERM drains and exits with 0.

    The key needs the scope `workers:connect`, and `jobs:write` to register the jobs of the handlers. Prints
    `ready wrk_…` when the server has answered the first claim.

    Example: `runwright worker app.jobs:app --url https://runs.example.com --slots 50 --queue gpu --name gpu-1`

    Parameters
    ----------
    handlers
        The worker to load, as module:app, found from here; none for commands alone.
    processes
        Run commands, too: the runs of process jobs, in a sandbox; `RUNWRIGHT_PROCESS_*` set its limits.
    slots
        Runs that it executes at a time.
    queue
        Queue to take from; repeatable. Without it: every queue.
    name
        What operators see; default: the name of this machine.
    code_version
        Version of the handlers' code, for operators.
    drain_secs
        Time of running attempts to end once it drains; the rest is handed back.
    register
        Have a job for each handler, with the options of its decorator.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    if handlers is None and not processes:
        raise UsageError("There is nothing to execute.", "Give module:app, or --processes, or both.")
    sandbox = _Sandbox() if processes else None
    remote = RemoteWorker(
        Worker([]) if handlers is None else _loaded(handlers),
        *connection.resolve(),
        slots=slots,
        queues=queue,
        name=name or socket.gethostname(),
        version=code_version,
        drain_s=drain_secs,
        processes=sandbox.run if sandbox is not None else None,
        on_ready=_announce,
    )
    return _ended(remote, register=register, sandbox=sandbox)


class _Sandbox:
    """Runs commands with the means of this machine, which are found before the first is asked for."""

    def __init__(self) -> None:
        try:
            self._bounds = Bounds.of(load(os.environ))
        except InvalidSettings as wrong:
            raise CommandError(wrong.detail, "Correct the environment, or the file in RUNWRIGHT_CONFIG.") from None
        self._means: Means | None = None

    async def open(self) -> None:
        try:
            self._means = await Means.find(self._bounds)
        except NoSandbox as missing:
            advice = "Without a sandbox no process is run; `runwright doctor` tells more."
            raise CommandError(f"no sandbox works here: {missing}", advice) from None
        printing.note(self._means.described())

    async def run(self, call: ProcessCall, session: Session) -> Outcome:
        assert self._means is not None
        return await run_process(call, session, self._means)

    def close(self) -> None:
        if self._means is not None:
            self._means.close()


def _ended(remote: RemoteWorker, *, register: bool, sandbox: _Sandbox | None) -> int:
    """Work to the end, and return what to exit with; a handler's thread that does not end does not keep the process."""
    code = exits.OK
    try:
        left = asyncio.run(_work(remote, register=register, sandbox=sandbox))
        if left:
            printing.note(f"{left} runs were handed back")
    except ClientError as error:
        message, advice, code, _ = hint(error)
        printing.fail(message, advice)
    sys.stdout.flush()
    if any(thread.name.startswith("runwright-handler") for thread in threading.enumerate()):
        os._exit(code)
    return code


def _loaded(path: str) -> Worker:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return load_worker(path)
    except LookupError as error:
        raise CommandError(str(error), "Give module:app, from the directory of the module.") from None


def _announce(remote: RemoteWorker) -> None:
    sys.stdout.write(f"ready {remote.worker_id}\n")
    sys.stdout.flush()


async def _work(remote: RemoteWorker, *, register: bool, sandbox: _Sandbox | None) -> int:
    if sandbox is None:
        return await _drained(remote, register=register)
    await sandbox.open()
    try:
        return await _drained(remote, register=register)
    finally:
        sandbox.close()


async def _drained(remote: RemoteWorker, *, register: bool) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, remote.drain)
    if register:
        try:
            await remote.register()
        except ApiError as refused:
            if refused.status != 403:
                raise
            printing.note(f"the jobs were not registered ({refused.message}); those that exist are served")
    return await remote.run()
