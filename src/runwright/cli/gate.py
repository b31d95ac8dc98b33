"""`runwright gate`: judge a repository here, by its own policy, without a server."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.exits import USAGE, UsageError
from runwright.cli.gating import judge
from runwright.cli.written import write_whole
from runwright.domain.gating import Judged
from runwright.domain.summaries import so_many
from runwright.governance.local.gate_run import Asked, GateRun
from runwright.governance.local.report import as_json, as_sarif

SHOWN_MAX = 50
MESSAGE_MAX = 80
_QUIET = {"told": "that do not count", "known": "known", "suppressed": "suppressed", "dropped": "dropped"}
"""What is counted and not shown, by what it does."""
_STYLES = {"passed": "green", "blocked": "bold red", "error": "bold red", "needs_approval": "yellow"}

app = App(name="gate", help="Judge a repository here, by its own policy, without a server.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Judging:
    """What is judged, against what, and by which rules."""

    path: Path = Path()
    "Directory of the repository"

    diff: bool = False
    "Judge only findings in files that have changed since the base"

    base: str | None = None
    "Branch, tag or commit that the change is made for; default: HEAD"

    fail_severity: Literal["P0", "P1", "P2", "P3", "none"] | None = None
    "Block on this severity and the graver ones, whatever the policy says"

    policy: Path | None = None
    "Path of a policy in place of the base's"

    baseline: Path | None = None
    "Path of a baseline in place of the base's"

    env: tuple[Path, ...] = ()
    "Directory with a bin/ for the commands, such as a virtual environment; they may read it. May be repeated"

    from_fork: bool = False
    "The tree comes of a fork; the policy says what is done with it"

    skip_gates: bool = False
    "Run no quality gates: they count as not run, and what is required is not green"

    def asked(self) -> Asked:
        """Return what is asked beside the directory and its base."""
        return Asked(
            policy=self.policy,
            baseline=self.baseline,
            fail_severity=self.fail_severity,
            only_changed=self.diff,
            from_fork=self.from_fork,
            environments=self.env,
            run_commands=not self.skip_gates,
        )


HERE = Judging()


@app.command
def run(
    *, judging: Judging = HERE, format: Literal["table", "json", "sarif"] = "table", output: Path | None = None
) -> int:
    """Scan a repository as it is now, run the quality gates of its policy in the sandbox, and say whether it passes.

    Nothing is sent anywhere. The policy, the suppressions and the baseline are those of the base: HEAD, or where the
    branch left --base. Exits with 0 passed · 1 blocked · 2 wrong usage, policy or settings, or no sandbox · 10 the
    policy needs a model, and none answers · 12 the change of a fork, which the policy blocks · 13 people must approve.

    Example: `runwright gate run --base origin/main --format sarif --output gate.sarif`

    Parameters
    ----------
    format
        table, json or sarif.
    output
        Path of a file for json or sarif, which is there whole or not at all; a table is printed beside it.
    """
    if output is not None and (format == "table" or not output.parent.is_dir()):
        hint = "A table is printed; name json or sarif with --format, and a file in a directory that is there."
        raise UsageError(f"{output} is not written", hint)
    done = judge(judging.path, judging.base, judging.asked())
    if isinstance(done, int):
        return done
    if format != "table":
        whole = as_json(done, version("runwright")) if format == "json" else as_sarif(done, version("runwright"))
        if output is None:
            printing.show_json(whole)
            return done.verdict.exit_code
        write_whole(output, [printing.json_text(whole).encode()], code=USAGE)
    show(done)
    return done.verdict.exit_code


def show(done: GateRun) -> None:
    """Print the result as people read it: what counts first, what did not look, and the verdict last."""
    said = done.verdict
    told = [each for each in said.judged if each.decision not in _QUIET]
    if told:
        printing.table(("", "does", "state", "rule", "where", "finding"), map(_row, told[:SHOWN_MAX]))
        if len(told) > SHOWN_MAX:
            printing.note(f"and {len(told) - SHOWN_MAX} more; --format json has all")
        printing.say()
    if said.gates:
        gates = [(gate.gate_id, gate.status, gate.required, len(gate.tries), gate.detail) for gate in said.gates]
        printing.table(("gate", "status", "required", "tries", "detail"), gates)
        printing.say()
    scans = [(scan.scanner, scan.status, scan.required, scan.files, scan.findings, scan.reason) for scan in said.scans]
    printing.table(("scanner", "status", "required", "files", "findings", "why"), scans)
    printing.say()
    for note in (*_untold(done), *done.notes, *_hints(done)):
        printing.note(printing.printable(note))
    _summary(done)


def _untold(done: GateRun) -> Iterator[str]:
    counts = Counter[str](each.decision for each in done.verdict.judged if each.decision in _QUIET)
    if counts:
        told = ", ".join(f"{counts[word]} {_QUIET[word]}" for word in _QUIET if counts[word])
        yield f"not shown: {told}; --format json has all"


def _hints(done: GateRun) -> Iterator[str]:
    """Yield what may help where something did not run."""
    if any("is not there in the sandbox" in gate.detail for gate in done.verdict.gates):
        yield "commands see /usr and what --env names, such as --env .venv"
    if any("is not installed" in (scan.reason or "") for scan in done.verdict.scans if scan.scanner != "semgrep"):
        yield "pip install 'runwright[scanners]' brings ruff, bandit, zizmor and ast-grep"


def _summary(done: GateRun) -> None:
    said, compared = done.verdict, done.unsuppressed
    by = done.rules.policy.name or "the defaults"
    against = f"{so_many(len(compared.findings), 'finding')}, no baseline"
    if done.rules.baseline is not None:
        against = f"{compared.count('new')} new, {compared.count('unchanged')} known, "
        against += f"{compared.count('regressed')} back, {len(compared.fixed)} fixed"
    printing.say(f"{so_many(done.inventory.read_files, 'file')} by {by}: {against}")
    printing.say(printing.styled(said.status.replace("_", " ").upper(), _STYLES.get(said.status, "bold")))
    for reason in said.reasons:
        printing.say(f"  {printing.printable(reason)}")


def _row(judged: Judged) -> tuple[str, ...]:
    found = judged.finding
    where = _place(found.file, found.line)
    message = found.message if len(found.message) <= MESSAGE_MAX else found.message[: MESSAGE_MAX - 1] + "…"
    return (found.severity, judged.decision, found.baseline_state, found.rule_id, where, message)


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file
