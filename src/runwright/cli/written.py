"""Write a file that is there whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

from runwright.cli import printing
from runwright.cli.exits import FAILED, CommandError


def write_whole(output: Path, pieces: Iterable[bytes], *, code: int = FAILED) -> None:
    """Write the pieces beside the file, and put them in its place when all of them are there, or end with the code."""
    beside = output.with_name(f".{output.name}.partial")
    try:
        with beside.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        beside.replace(output)
    except OSError as failure:
        raise CommandError(f"{output} cannot be written: {failure.strerror}", "Name another file.", code) from None
    finally:
        beside.unlink(missing_ok=True)
    printing.note(f"{output} is written")
