"""`runwright evidence`: take the evidence of a run away, and verify it without a server."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

import msgspec
from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.written import write_whole
from runwright.governance.verifier.report import NotABundle
from runwright.governance.verifier.verify import told as told_of
from runwright.governance.verifier.verify import verify as verify_bundle

EXPORTED = "Name a zip that `evidence export` wrote."

app = App(name="evidence", help="Export, verify and inspect the evidence of runs.")


@app.command
def export(
    run: str,
    /,
    *,
    output: Path | None = None,
    profile: Literal["full", "auditor", "public"] | None = None,
    format: Literal["json", "zip"] = "zip",
    connection: Connection = HERE,
) -> None:
    """Write the evidence of a run to a file, or into a pipe; of a run that goes on, what there is so far.

    Example: `runwright evidence export RUN --output evidence.zip --profile auditor`

    Parameters
    ----------
    run
        Id of the run.
    output
        Path of the file, which is there whole or not at all; default: standard output.
    profile
        full, auditor (what was decided, not what was said) or public (no data); default: the fullest that the key may.
    format
        zip, which can be verified, or json.
    """
    with connection.client() as client:
        _written(client.evidence.export(run, format=format, profile=profile), output)


@app.command
def verify(file: Path, /, *, key: str | None = None, json: bool = False) -> int:
    """Verify a bundle, offline; each object that was edited, dropped, reordered, truncated or added is named.

    Exits with 0 when it is whole and signed by the key, 1 when it is not, 3 when it is whole and no key is named.

    Example: `runwright evidence verify evidence.zip --key 34750f98bd59fcfc946da45aaabe933b`

    Parameters
    ----------
    file
        Path of the zip.
    key
        Fingerprint of the key that must have signed it, noted when there was reason to trust it.
    json
        Print JSON.
    """
    try:
        report = verify_bundle(str(file), key)
    except OSError as failure:
        raise UsageError(f"{file} cannot be read: {failure.strerror}", EXPORTED) from None
    except NotABundle as failure:
        raise UsageError(f"{file}: {failure}", EXPORTED) from None
    if json:
        problems = [problem._asdict() for problem in report.problems]
        told = {"whole": not problems, "problems": problems, "signer": report.signer, "pinned": report.pinned}
        printing.show_json(told | {"log": report.manifest.get("log")})
    else:
        for text in told_of(report):
            printing.say(text)
    return report.code


@app.command
def inspect(file: Path, /, *, json: bool = False) -> None:
    """Show what a bundle says of its run, without verifying it.

    Example: `runwright evidence inspect evidence.zip`

    Parameters
    ----------
    file
        Path of the zip.
    json
        Print JSON.
    """
    try:
        with ZipFile(file) as archive:
            manifest: dict[str, Any] = msgspec.json.decode(archive.read("manifest.json"))
        told = {"profile": manifest["profile"], "sealed": manifest["sealed"], **manifest["run"], **manifest["log"]}
        files = [(each["name"], each["bytes"], each["sha256"]) for each in manifest["files"]]
    except (OSError, LookupError, TypeError, BadZipFile, msgspec.MsgspecError) as failure:
        raise UsageError(f"{file} is no evidence bundle: {failure}", EXPORTED) from None
    if json:
        printing.show_json(manifest)
        return
    printing.detail(told.items())
    printing.table(("file", "bytes", "sha256"), files)
    printing.note("Nothing was verified: `runwright evidence verify` does.")


@app.command
def values(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List what a run was given, gave and kept, as files.

    Example: `runwright evidence values RUN`

    Parameters
    ----------
    run
        Id of the run.
    limit
        Most values to list.
    """
    with connection.client() as client:
        found = client.evidence.values(run, limit=max(1, min(limit, 500))).first(limit)
    if connection.json:
        printing.show_json([each.raw for each in found])
        return
    printing.table(
        ("id", "kind", "bytes", "redacted", "sha256", "created"),
        [(e.artifact_id, e.kind, e.bytes, e.redacted, e.sha256, e.created_at) for e in found],
    )


@app.command
def value(run: str, artifact: str, /, *, output: Path | None = None, connection: Connection = HERE) -> None:
    """Write a value of a run, JSON, to a file or to standard output.

    Example: `runwright evidence value RUN RUN.result --output result.json`

    Parameters
    ----------
    run
        Id of the run.
    artifact
        Id of the value, as `evidence values` shows it.
    output
        Path of the file, which is there whole or not at all; default: standard output.
    """
    with connection.client() as client:
        _written(client.evidence.value(run, artifact), output, binary=False)


def _written(pieces: Iterable[bytes], output: Path | None, *, binary: bool = True) -> None:
    if output is None:
        if binary and printing.is_terminal(sys.stdout):
            raise UsageError("The bytes could change the terminal.", "Name a file with --output, or write into a pipe.")
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    write_whole(output, pieces)
