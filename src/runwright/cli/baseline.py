"""`runwright baseline`: the findings that were there before, so that a gate judges what a change brings."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.gating import judge
from runwright.cli.written import write_whole
from runwright.domain.baseline import FILE, Baseline, read_baseline, renewed, written
from runwright.errors import PolicyInvalid
from runwright.governance.local.gate_run import Asked, GateRun

app = App(name="baseline", help="Write, compare and show the findings that were there before.")
_File = Annotated[
    Path | None, Parameter(help="Path of the baseline; default: .runwright/baseline.json beneath --path.")
]


@app.command(name="set")
def set_(*, path: Path = Path(), baseline: _File = None, json: bool = False) -> None:
    """Write the findings of a repository as it is now as its baseline; what was known and is gone is kept as fixed.

    The file is for the repository: commit it, and it counts from then on. What is suppressed is left out: it counts
    again when its suppression ends.

    Example: `runwright baseline set`

    Parameters
    ----------
    path
        Directory of the repository.
    json
        Print JSON.
    """
    done, file = _looked(path, baseline)
    compared = done.unsuppressed
    made = renewed(compared, tree=done.tree_hash)
    known = done.rules.baseline
    if known is not None and known.findings == made.findings:
        made = known  # the tree holds the file itself: it would be another one each time
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, [written(made)])
    told = {"file": str(file), "open": len(made.open), "fixed": len(made.findings) - len(made.open)}
    told["suppressed"] = len(done.compared.findings) - len(compared.findings)
    printing.show_json(told) if json else printing.detail(told.items())


@app.command
def diff(*, path: Path = Path(), baseline: _File = None, json: bool = False) -> int:
    """Compare the findings of a repository as it is now with its baseline; exits with 1 if any are new or came back.

    What is suppressed is left out.

    Example: `runwright baseline diff --json`

    Parameters
    ----------
    path
        Directory of the repository.
    json
        Print JSON.
    """
    done, file = _looked(path, baseline, must=True)
    compared = done.unsuppressed
    rows = [
        (each.baseline_state, each.severity, each.rule_id, each.file, each.line, each.finding_id)
        for each in compared.findings
        if each.baseline_state != "unchanged"
    ]
    rows += [
        ("fixed", each.severity, each.rule_id, each.file, 0, f"fnd_{each.fingerprint[:32]}") for each in compared.fixed
    ]
    heads = ("state", "severity", "rule", "file", "line", "finding")
    if json:
        printing.show_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        printing.table(heads, rows)
        printing.note(f"{compared.count('unchanged')} unchanged, by {file}")
    return FAILED if compared.count("new") or compared.count("regressed") else OK


@app.command
def show(*, path: Path = Path(), baseline: _File = None, json: bool = False) -> None:
    """Show what a baseline holds; nothing is looked at.

    Example: `runwright baseline show`

    Parameters
    ----------
    path
        Directory of the repository.
    json
        Print JSON.
    """
    known = _read(_file(path, baseline))
    if json:
        printing.show_json(known)
        return
    rows = [(each.state, each.severity, each.rule_id, each.file, each.symbol) for each in known.findings]
    printing.table(("state", "severity", "rule", "file", "in"), rows)


def _file(path: Path, baseline: Path | None) -> Path:
    return path / FILE if baseline is None else baseline


def _read(file: Path) -> Baseline:
    try:
        return read_baseline(file.read_bytes(), str(file))
    except PolicyInvalid as wrong:
        raise UsageError(wrong.detail, "Write it anew with `runwright baseline set`.") from None
    except OSError as failure:
        hint = "Write one with `runwright baseline set`."
        raise UsageError(f"{file} cannot be read: {failure.strerror}", hint) from None


def _looked(path: Path, baseline: Path | None, *, must: bool = False) -> tuple[GateRun, Path]:
    file = _file(path, baseline)
    known = file if must or file.exists() else None
    if known is not None:
        _read(known)
    done = judge(path, None, Asked(baseline=known, run_commands=False))
    assert not isinstance(done, int)  # it comes of no fork
    return done, file
