"""`runwright artifacts`: bytes by their digest, put in and got out."""

import sys
from pathlib import Path

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.client.sync.artifacts import Readable

app = App(name="artifacts", help="Upload bytes, and download them by their digest.")


@app.command
def put(file: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Upload a file, and show its digest; the same bytes are the same artifact.

    Example: `runwright artifacts put report.pdf --json`

    Parameters
    ----------
    file
        Path of the file; `-` is standard input.
    project
        Id or slug of the project that sees it; default: the key's.
    """
    with connection.client() as client:
        if file == "-":
            stdin: Readable = sys.stdin.buffer
            printing.show_record(client.artifacts.upload(stdin, project_id=project), connection.json)
            return
        try:
            opened = Path(file).open("rb")  # noqa: SIM115 - closed below; what fails after is no wrong usage
        except OSError as error:
            raise UsageError(
                f"{file} cannot be read: {error.strerror}", "Name a file, or - for standard input."
            ) from None
        with opened:
            printing.show_record(client.artifacts.upload(opened, project_id=project), connection.json)


@app.command
def get(digest: str, /, *, output: Path | None = None, connection: Connection = HERE) -> None:
    """Download an artifact: to a file, or into a pipe.

    Example: `runwright artifacts get DIGEST --output report.pdf`

    Parameters
    ----------
    digest
        The digest that its upload showed.
    output
        Path of the file, which is there whole or not at all; default: standard output.
    """
    if output is None and printing.is_terminal(sys.stdout):
        raise UsageError("The bytes could change the terminal.", "Name a file with --output, or write into a pipe.")
    with connection.client() as client:
        pieces = client.artifacts.download(digest)
        if output is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        beside = output.with_name(f".{output.name}.partial")
        try:
            with beside.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            beside.replace(output)
        finally:
            beside.unlink(missing_ok=True)
    printing.note(f"{digest} is in {output}")
