"""Walk through pages: execute their blocks in order, in one shell, against a server of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance import nursery
from tests.docs.pages import Block
from tests.ports import kept

PORTS = {"RUNWRIGHT_PORT=": "8080", "ENDPOINT_PORT=": "9000"}
"""What the pages call the ports of the server and of an endpoint beside it; a walk has others."""
LIMIT_S = 90
_MARK = "@@@@ "

_BEGIN = """\
exec 2>&1 < /dev/null
set -e -o pipefail
"""
# A person waits for the first line of the server's output; so does the shell.
_SERVE = """\
rm -f server.out
mkfifo server.out
{command} > server.out 2>> server.err &
server=$!
exec 9< server.out
read -r ready <&9
echo "$ready"
"""
_END = f"""
echo '{_MARK}end'
kill "$server" 2> server.gone || true
if wait "$server"; then echo 0; else echo $?; fi
"""


@dataclass(frozen=True)
class Walk:
    """What was printed, block by block, as far as it came; the exit status of the server; remarks for the reader."""

    printed: dict[str, str]
    server_status: str
    remarks: str


def walk(blocks: Sequence[Block], directory: Path, *, forked: bool = False) -> Walk:
    """Execute the blocks in a directory that looks like a clone, up to the first command that fails.

    Each `runwright` loads its code like anybody's, which is most of what it does, unless they are `forked`.
    """
    clone(directory, forked=forked)
    for block in blocks:
        if block.file is not None:
            (directory / block.file).write_text(block.text, encoding="utf-8")
    with ExitStack() as stack:
        ports = {name: str(stack.enter_context(kept())) for name in PORTS}
        scripts = [f"echo '{_MARK}{b.where}'\n{executable(b, ports)}" for b in blocks if b.language == "bash"]
        status, output = execute("\n".join([_BEGIN, *scripts, _END]), directory)
    for name, port in ports.items():
        output = output.replace(f":{port}", f":{PORTS[name]}")
    parts = output.split(_MARK)[1:]
    printed = dict(part.partition("\n")[::2] for part in parts)
    log = directory / "server.err"
    remarks = f"status {status}\n{log.read_text('utf-8') if log.exists() else ''}"
    return Walk(printed, printed.pop("end", "never asked to stop").strip(), remarks)


def clone(directory: Path, *, forked: bool) -> None:
    """Put in what `make setup` makes."""
    if not forked:
        (directory / ".venv").symlink_to(sys.prefix)
        return
    made, ours = directory / ".venv" / "bin", Path(sys.prefix)
    made.mkdir(parents=True)
    for each in (*ours.iterdir(), *(ours / "bin").iterdir()):
        if each.name not in ("bin", "runwright"):
            (directory / ".venv" / each.relative_to(ours)).symlink_to(each)
    (made / "runwright").write_text(nursery.ASKING)
    (made / "runwright").chmod(0o755)


def executable(block: Block, ports: Mapping[str, str]) -> str:
    """Return a block as it is executed: on free ports, and with a server that does not hold up the shell."""
    script = block.script
    for name, port in ports.items():
        script = script.replace(name + PORTS[name], name + port)
    if not block.serves:
        return script
    before, _, command = script.rpartition("\n")
    return f"{before}\n{_SERVE.format(command=command)}"


def execute(script: str, directory: Path) -> tuple[int, str]:
    """Run a script and return its status and output; nothing that it started outlives it."""
    # Without any setting of ours, and with outputs that come at once, so that they come in order.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
    door = nursery.door().fileno()
    environment = {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", nursery.DOOR: str(door)}
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=[door],
    )
    try:
        output, _ = shell.communicate(timeout=LIMIT_S)
    finally:
        if shell.poll() is None or (directory / "server.out").exists():
            kill_session(shell.pid)
    return shell.returncode, output


def kill_session(pid: int) -> None:
    """Kill what is left of the processes of a session."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
