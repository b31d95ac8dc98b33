"""A sentence for each event of a log, for people who read along: what the runtime surface calls `payload.summary`."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

LONGEST = 200
"""Most characters of a sentence; what a model or a tool says may be long."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "run.created": ("the run was made",),
    "run.started": ("a run in the mode {mode} was made", "an agent begins with {model}", "attempt {attempt} begins"),
    "run.claimed": ("attempt {attempt} begins",),
    "run.accepted": ("the endpoint {endpoint} took the run over", "the endpoint took the run over"),
    "run.annotated": ("the run was annotated",),
    "run.queued": ("the run is in its queue: {reason}",),
    "run.joined": ("trigger {size} joined the run",),
    "run.waiting": ("the run waits for {reason} {key}", "the run waits: {reason}"),
    "run.woken": ("what the run waited for came: {reason}",),
    "run.waiting_for_input": ("the run asks a person: {prompt}",),
    "run.input_received": ("a person said: {content}",),
    "run.recovered": ("the worker was lost; the run goes on at its last whole turn",),
    "run.retrying": ("attempt {attempt} failed with {error_class}; the next follows in {delay_ms} ms",),
    "run.cancel_requested": ("the run was asked to stop: {reason}",),
    "run.pause_requested": ("the run was asked to pause: {reason}",),
    "run.restart_requested": ("the run was asked to begin again: {reason}",),
    "run.paused": ("the run is paused: {reason}",),
    "run.resumed": ("the run goes on, {state}",),
    "run.completed": (
        "the run ended: {stop_code}, its gate is {gate_status}",
        "the run completed after {duration_ms} ms",
    ),
    "run.failed": ("the run failed with {error_class}: {error}",),
    "run.cancelled": ("the run was cancelled: {reason}",),
    "run.expired": ("the run was not started in time",),
    "run.rescheduled": ("the run was put off or brought forward",),
    "run.progress": ("{percent} %: {message}", "{percent} % is done"),
    "run.continued": ("the run {run_id} goes on where this one ends",),
    "terminal.command_started": ("a command begins: {command_id}",),
    "terminal.output": ("output on {stream}",),
    "terminal.gap": ("the rest of what {command_id} prints is not kept: it printed {most} bytes",),
    "terminal.command_ended": (
        "the command {command_id} ended with {exit_code}",
        "the command {command_id} was ended",
    ),
    "terminal.input": ("{bytes} bytes were typed for {command_id}", "input for {command_id}: {what}"),
    "terminal.typed": ("{command_id} was given {bytes} bytes that {by} typed", "{command_id} was given input of {by}"),
    "terminal.resized": ("the terminal of {command_id} has {cols} columns and {rows} rows",),
    "process.started": ("a command began in its sandbox ({preset})",),
    "process.limited": ("the process was killed at its limit of {limit}",),
    "process.ended": ("the process ended with {exit_code}", "the command never began"),
    "security.refused": ("the sandbox refused: {what}",),
    "child.spawned": ("a run of {job} was made: {child_run_id}",),
    "log": ("a line without words",),
    "stream.chunk": ("a piece of the stream {stream_id}", "a piece of a stream"),
    "output.saved": ("the output {output_key} was saved",),
    "checkpoint.saved": ("checkpoint {sequence} was saved",),
    "state.set": ("the state {state_key} was set",),
    "state.deleted": ("the state {state_key} was deleted",),
    "usage.reported": ("{model} used {total_tokens} tokens", "{model} was used"),
    "tool.called": ("the tool {tool_name} was called",),
    "iteration.reported": ("round {iteration}: {description}", "round {iteration} begins"),
    "resources.reported": ("what the run uses of its machine",),
    "step.started": ("the step {name} begins",),
    "step.completed": ("the step {name} is done",),
    "step.unknown": ("nobody knows whether the step {name} was done",),
    "workflow.step_started": ("the step {step} begins, as a run of {job}",),
    "workflow.step_ended": ("the step {step} is {state}",),
    "workflow.step_skipped": ("the step {step} has no run",),
    "workflow.step_reused": ("the step {step} keeps what an earlier run gave",),
    "message.delta": ("{content}", "a piece of a message"),
    "message.completed": ("{content}", "a message is whole"),
    "message.reset": ("what was shown of a message does not count",),
    "llm.request": ("{model} is asked",),
    "llm.response": ("{text}", "the model calls tools"),
    "llm.retry": ("the model did not answer ({code}); it is asked again in {delay_ms} ms",),
    "usage.recorded": ("{model} used {input_tokens} tokens of input and {output_tokens} of output",),
    "tool.call": ("the tool {tool_name} is called",),
    "tool.result": ("the tool {tool_name} answered after {duration_ms} ms",),
    "tool.denied": ("the tool {tool_name} was not called: {reason}",),
    "budget.warning": ("{used} of {limit} of {limit_name} are used",),
    "budget.exhausted": ("{limit_name} has not enough left: {used} of {limit}",),
    "approval.requested": ("asks to approve: {summary}",),
    "approval.voted": ("{actor} approved; it takes more people",),
    "approval.approved": ("{actor} approved the gate {gate_id}: {comment}", "{actor} approved the gate {gate_id}"),
    "approval.denied": ("{actor} denied the gate {gate_id}: {comment}", "{actor} denied the gate {gate_id}"),
    "approval.expired": ("nobody decided the gate {gate_id} in time, which is a denial",),
    "approval.superseded": ("the gate {gate_id} is asked for no more",),
    "run.stage_changed": ("the run goes on to {to}",),
    "gate.result": ("the gate {name} is {status}: {detail}",),
    "policy.denied": ("the policy does not allow {subject}",),
    "output.narrative": ("{text}",),
    "workspace.checked_out": (
        "the workspace holds {head_sha} of {repo}: {files} files",
        "the repository {repo} has no commit; the workspace is empty",
    ),
    "policy.read": ("what {policy_file} says of runs holds for this one",),
    "workspace.ingested": ("{files} files lie in the workspace; {read_files} were looked into",),
    "scan.completed": (
        "the scanner {scanner} {status}: {findings} findings; {reason}",
        "the scanner {scanner} {status}: {findings} findings",
    ),
    "finding.opened": ("{severity} in {file}: {message}", "{severity}: {message}"),
    "finding.suppressed": (
        "{severity} in {file} is suppressed until {expires_at}: {reason}",
        "a {severity} is suppressed until {expires_at}: {reason}",
    ),
    "finding.fixed": ("{severity} in {file} is not there any more: {rule_id}", "a {severity} is not there any more"),
    "loop.started": ("the loop begins at the tree {tree_hash}",),
    "loop.surveyed": ("the tree was looked at before any patch",),
    "fixer.passed": ("the fixer {fixer} has nothing to propose for {findings} findings",),
    "iteration.started": ("iteration {n} begins, with {patcher}",),
    "patch.proposed": ("iteration {n} has a patch",),
    "patch.refused": ("the guard {guard} refused the patch of iteration {n}: {reason}",),
    "iteration.completed": ("iteration {n} is over, {outcome}: {why}",),
    "loop.stopped": ("the loop ended: {exit_reason}, after {iterations} iterations",),
    "usage.unverified": ("{model} answered without a usage that can be believed; what was reserved counts",),
    "delivery.prepared": ("the commit {commit_sha} is ready for the branch {branch}; nobody has it yet",),
    "delivery.committed": ("{tree_sha} was committed as {commit_sha}",),
    "delivery.pushed": ("the branch {branch} of {repo} has the commit {commit_sha}",),
    "delivery.pr_opened": ("the pull request {number} is open: {url}",),
    "delivery.refused": ("the action {action} did not come about ({code}): {message}",),
    "debug.set": ("what is recorded for debugging was changed",),
    "debug.request": ("a request was recorded",),
    "debug.response": ("an answer was recorded",),
}
"""Type → sentences over the fields of its data, the fullest first; each is told where all of its fields are there."""

_fields = {
    sentence: tuple(name for _, name, _, _ in Formatter().parse(sentence) if name)
    for sentences in SENTENCES.values()
    for sentence in sentences
}


def summary(type_: str, message: str, data: Mapping[str, Any] | None) -> str:
    """Return a sentence of at most `LONGEST` characters: the event's own message, else one from its data.

    An event whose data were erased says that, and no more.
    """
    if message:
        return _short(message)
    if data is None:
        return f"{type_} (its data were erased)"
    for sentence in SENTENCES.get(type_, ()):
        if all(data.get(name) not in (None, "") for name in _fields[sentence]):
            return _short(sentence.format(**{name: data[name] for name in _fields[sentence]}))
    return type_


def so_many(count: int, what: str) -> str:
    """Return how many of something there are, in words: `1 file`, `2 files`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
