"""What people do to the terminal of a command that a runtime run executes: it is taken, and waits for the command."""

from __future__ import annotations

from runwright.domain.commands import Decision, Touch
from runwright.domain.ending import draft
from runwright.domain.run import Run
from runwright.domain.runtime_terms import CommandStep, GateStep
from runwright.domain.terminal_events import Touched
from runwright.errors import InvalidTransition, LimitExceeded

INPUTS_MAX = 256
"""So many pieces of input wait for a command, however small."""


def closed(why: str = "the run executes no command that people can type for") -> InvalidTransition:
    """Return the refusal of who types where nothing can be typed."""
    return InvalidTransition(why, code="terminal.read_only")


def touch(run: Run, command: Touch, at: int) -> Decision:
    """Take what a person does to the terminal of the open command.

    Raises `InvalidTransition` (`terminal.read_only`) where no command takes it, and `LimitExceeded`
    (`terminal.input_full`) where too much waits for it.
    """
    call_id = _takes(run, command)
    step = None if run.course is None else run.course.open
    assert step is not None
    waiting = sum(each.bytes for each in step.untaken)
    if command.what != "size" and (waiting + command.size > command.most_bytes or len(step.untaken) + 1 > INPUTS_MAX):
        raise LimitExceeded("the command does not read what was typed before", code="terminal.input_full")
    told = Touched(
        command_id=call_id,
        what=command.what,
        input_id=command.input_id,
        bytes=command.size,
        cols=command.cols,
        rows=command.rows,
        ref=command.ref,
    )
    return Decision(run, (draft("terminal.input", told, actor=command.cause.actor),))


def _takes(run: Run, command: Touch) -> str:
    """Return the id of the command that takes it."""
    terms, open_step = run.spec.runtime, None if run.course is None else run.course.open
    if terms is None or open_step is None or not open_step.calls:
        raise closed()
    step = next((each for each in terms.steps if each.ident == open_step.step_id), None)
    if command.what == "size":
        if not isinstance(step, CommandStep | GateStep) or not step.tty:
            raise closed("the command has no terminal whose size could be another")
    elif not isinstance(step, CommandStep) or not step.stdin:
        raise closed()
    return open_step.calls[0]


def forgotten(old: Run | None, new: Run) -> tuple[str, ...]:
    """Return what was typed for a command that it has been given now, or will never be: its bytes are kept no more."""
    before = None if old is None or old.course is None else old.course.open
    if before is None or not before.untaken:
        return ()
    after = None if new.course is None or new.state != "executing" else new.course.open
    left = () if after is None else {each.input_id for each in after.untaken}
    return tuple(each.input_id for each in before.untaken if each.input_id not in left)
