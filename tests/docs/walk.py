"""Walk through a page: execute its blocks in order, in one shell, against a server of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Block

PORT = "RUNWRIGHT_PORT=8080"
LIMIT_S = 110
_MARK = "@@@@ "

# The server's standard output is a pipe whose first line is waited for, as a person waits for it.
_SERVE = """\
rm -f server.out
mkfifo server.out
{command} > server.out 2>> server.err &
server=$!
exec 9< server.out
read -r ready <&9
echo "$ready"
"""
_PROLOGUE = """\
exec 2>&1 < /dev/null
set -e -o pipefail
trap 'test -z "$server" || kill "$server"' EXIT
"""
_STOP = """
kill -TERM "$server"
if wait "$server"; then echo 0; else echo $?; fi
server=
"""


@dataclass(frozen=True)
class Walk:
    """What a walk printed: block by block, as far as it came, and what its server ended with."""

    printed: dict[str, str]
    server_status: str
    remarks: str


def walk(pages: Sequence[Block], directory: Path) -> Walk:
    """Execute the blocks, and stop at the first command that fails."""
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "examples").symlink_to(ROOT / "examples")
    port = free_port()
    for block in pages:
        if block.file is not None:
            (directory / block.file).write_text(block.text, encoding="utf-8")
    scripts = [block for block in pages if block.language == "bash"]
    body = "\n".join(f"echo '{_MARK}{block.where}'\n{executable(block, port)}" for block in scripts)
    script = f"{_PROLOGUE}\n{body}\necho '{_MARK}end'\n{_STOP}"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment(),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    printed = dict(part.partition("\n")[::2] for part in ended.stdout.decode().split(_MARK)[1:])
    log = directory / "server.err"
    remarks = f"exit {ended.returncode}\n{log.read_text('utf-8') if log.exists() else ''}"
    shown = {where: output.replace(f":{port}", ":8080") for where, output in printed.items()}
    return Walk(shown, shown.pop("end", "never stopped").strip(), remarks)


def executable(block: Block, port: int) -> str:
    """Return a block as it is executed: with a free port, and a server that does not hold the shell up."""
    script = block.script.replace(PORT, f"RUNWRIGHT_PORT={port}")
    if not block.serves:
        return script
    *before, command = script.splitlines()
    return "\n".join([*before, _SERVE.format(command=command)])


def environment() -> dict[str, str]:
    """Return an environment without any setting of ours; output comes at once, so that it comes in order."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
    return {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
