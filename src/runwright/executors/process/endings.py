"""Say how a process ended: what its exit status, its limits and its last words mean for the attempt."""

from __future__ import annotations

from runwright.client.outcome import Failed
from runwright.client.session import Draft
from runwright.executors.terminal import signal_name
from runwright.sandbox.child import NO_PROGRAM
from runwright.sandbox.watch import Exceeded

LAST_LINE = 300

_CLASSES = {"memory": "MemoryLimit", "pids": "PidsLimit", "workspace": "WorkspaceLimit", "output": "OutputLimit"}
_ADVICE = {
    "memory": "give the job a larger preset",
    "pids": "RUNWRIGHT_PROCESS_PIDS_MAX bounds them",
    "workspace": "RUNWRIGHT_PROCESS_WORKSPACE_MAX_BYTES bounds them",
    "output": "RUNWRIGHT_PROCESS_OUTPUT_MAX_BYTES bounds it",
}


def limited(exceeded: Exceeded, preset: str) -> tuple[Draft, Failed]:
    """Return the event and the failure of a process that was ended for a limit; another attempt would meet it too."""
    limit, used, most, means = exceeded
    said = {
        "memory": f"its processes used {_size(used)} of memory; the preset {preset} has {_size(most)}",
        "pids": f"it had {used} processes; the limit is {most}",
        "workspace": f"its files took more than {_size(most)} of the disk",
        "output": f"it wrote more than {_size(most)}",
    }[limit]
    message = f"killed: {said}; {_ADVICE[limit]}"
    data = {"limit": limit, "used": used, "most": most, "means": means}
    failed = Failed(
        error_class=_CLASSES[limit], message=message, retryable=False, code=f"process.{limit}_limit", traceback=""
    )
    return Draft("process.limited", data, "error", message), failed


def exited(status: int, last_words: str) -> Failed:
    """Return the failure of a process with another exit status than 0."""
    line = last_line(last_words)
    name = signal_name(status)
    if name is not None:
        error_class, code, said = "ProcessSignal", "process.signal", f"the process was killed by {name}"
    else:
        error_class, code, said = "ProcessExit", "process.exit", f"the process exited with {status}"
    message = f"{said}: {line}" if line else said
    return Failed(error_class=error_class, message=message, retryable=True, code=code, traceback="")


def refused(error_class: str, code: str, message: str) -> Failed:
    """Return the failure of a process that was not begun, and that would not be the next time either."""
    return Failed(error_class=error_class, message=message, retryable=False, code=code, traceback="")


def not_begun(words: str) -> Failed:
    """Return the failure of a command that never began: no program has its name, or its sandbox did not come about."""
    line = last_line(words)
    if line.startswith(NO_PROGRAM):
        message = f"the command did not begin: {line.removeprefix(NO_PROGRAM)}"
        return refused("CommandNotStarted", "process.not_started", message)
    message = f"the sandbox did not come about: {line or 'it said nothing'}"
    return Failed(error_class="SandboxFailed", message=message, retryable=True, code="process.no_sandbox", traceback="")


def no_way_out(count: int) -> Draft:
    """Return the event of a process that tried the network, which its job has not asked for."""
    message = "the process tried to use the network, which its job does not have (network: none)"
    return Draft("security.refused", {"what": "network", "count": count, "means": "counted"}, "warning", message)


def last_line(words: str) -> str:
    """Return the last line of a text that says anything."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1][:LAST_LINE] if lines else ""


def _size(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB" if count >= 1 << 20 else f"{count} bytes"
