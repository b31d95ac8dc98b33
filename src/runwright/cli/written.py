"""Write a file that is there whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

from runwright.cli import printing
from runwright.cli.exits import CommandError


def write_whole(output: Path, pieces: Iterable[bytes]) -> None:
    """Write the pieces beside the file, and put them in its place when all of them are there."""
    beside = output.with_name(f".{output.name}.partial")
    try:
        with beside.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        beside.replace(output)
    except OSError as failure:
        raise CommandError(f"{output} cannot be written: {failure.strerror}", "Name another file.") from None
    finally:
        beside.unlink(missing_ok=True)
    printing.note(f"{output} is written")
