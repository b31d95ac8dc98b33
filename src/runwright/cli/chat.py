"""`runwright chat`: a conversation in a thread, as it happens."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

from runwright.cli import asking, exits, printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import CommandError, UsageError
from runwright.cli.hints import hint
from runwright.cli.inputs import json_object, read_text, tools
from runwright.cli.talking import Lines, Screen, Shows, summary
from runwright.cli.watching import PATIENCE, exit_code
from runwright.client.agent_events import InputAsked, RunEnded
from runwright.client.errors import ApiError, ClientError
from runwright.client.models import Run
from runwright.client.sync.agent_stream import AgentStream
from runwright.client.sync.api import Client
from runwright.client.thread_fields import StartFields, ThreadFields

SHOWN = 6
"""Messages of a thread that are shown when it is taken up again."""
TITLE = 80
OVER = frozenset({"completed", "failed", "cancelled"})
OnBusy = Literal["reject", "enqueue", "interrupt"]


def chat(
    message: str | None = None,
    /,
    *,
    thread: str | None = None,
    persona: str | None = None,
    route: str | None = None,
    model: str | None = None,
    tool: tuple[str, ...] = (),
    no_tools: bool = False,
    budget: str | None = None,
    on_busy: OnBusy = "reject",
    project: str | None = None,
    connection: Connection = HERE,
) -> int:
    """Talk to an agent: what it says appears as it is written, what it asks is answered in place.

    With a message, or where standard input is no terminal, it says that, shows the answer and exits as the run ended: 0
    completed, 1 failed, 3 cancelled, 4 expired. Else it is a conversation, until Ctrl-D. What the agent says goes to
    standard output, everything about it to standard error; with --json there are events instead, and what is asked is
    answered elsewhere. Ctrl-C cancels the run that works, whose partial answer is kept; once more leaves.

    Example: `runwright chat`

    Example: `git diff | runwright chat --persona reviewer`

    Parameters
    ----------
    message
        What to say: a text, @FILE, or - for standard input; default: what is typed.
    thread
        Id of the thread to go on with; default: a new one.
    persona
        Whom to talk to: `key`, or `key@version`; a new thread keeps it.
    route
        Which way to a model, by id or name; a new thread keeps it.
    model
        Another model there.
    tool
        A tool that it may use; repeatable; default: all that its persona allows.
    no_tools
        It may use none.
    budget
        JSON object of the limits of each run, such as '{"turns": 5}', or @FILE.
    on_busy
        Where another run has its turn in the thread: reject, enqueue or interrupt.
    project
        Id or slug of the project of a new thread; default: the key's, else `default`.
    """
    if thread is not None and project is not None:
        raise UsageError("A thread has its project already.", "Leave out --project, or --thread.")
    whom = {"persona_id": persona, "route_id": route}
    fields: dict[str, Any] = {"model": model, "tools": tools(tool, no_tools), **(whom if thread else {})}
    fields["budget"] = None if budget is None else json_object(budget, "--budget")
    fields = {"on_busy": on_busy, **{name: value for name, value in fields.items() if value is not None}}
    said = _message(message) if message is not None or not asking.is_there() else None
    with connection.client() as client:
        talk = Talk(client, connection, thread, {**whom, "project_id": project}, fields)
        return talk.once(said) if said is not None else talk.on()


def _message(given: str | None) -> str:
    said = read_text("-" if given is None else given)
    if not said.strip():
        raise UsageError("There is nothing to say.", 'Give a message, as in `runwright chat "What is a lease?"`.')
    return said


class Talk:
    """A conversation in one thread, which is made when something is said."""

    def __init__(
        self,
        client: Client,
        connection: Connection,
        thread: str | None,
        new: dict[str, Any],
        fields: dict[str, Any],
    ) -> None:
        self._client = client
        self._connection = connection
        self._thread = thread
        self._new = new
        self._fields = fields
        self._plain = not connection.json

    def once(self, said: str) -> int:
        """Say something and return what the command exits with."""
        new = self._thread is None
        ended = self._say(said)
        if new and self._plain:
            self._tell_how_to_go_on()
        return exit_code(ended)

    def on(self) -> int:
        """Talk until the person leaves."""
        try:
            if self._thread is not None:
                self._take_up(self._thread)
            while True:
                said = asking.line("> ")
                if said.strip():
                    self._try(said)
        except EOFError:
            return exits.OK
        finally:
            if self._plain:
                printing.note("")
                self._tell_how_to_go_on()

    def _tell_how_to_go_on(self) -> None:
        if self._thread is not None:
            printing.note(f"go on with: runwright chat --thread {self._thread}")

    def _try(self, said: str) -> None:
        try:
            self._say(said)
        except ApiError as refused:  # the next thing that is said may do better
            message, advice, _, _ = hint(refused)
            printing.fail(message, advice)

    def _say(self, said: str) -> Run:
        client = self._client
        if self._thread is None:
            given = {"title": " ".join(said.split())[:TITLE], **self._new}
            kept = {name: value for name, value in given.items() if value is not None}
            self._thread = client.threads.create(**cast(ThreadFields, kept)).id
        screen = self._screen()
        fields = cast(StartFields, {"input": said, **self._fields})
        return self._follow(client.threads.stream(self._thread, backoff=PATIENCE, on_cut=screen.cut, **fields), screen)

    def _take_up(self, thread: str) -> None:
        """Show what was said last, and what a run that goes on says."""
        client = self._client
        if self._plain:
            printing.note(f"{client.threads.get(thread).title or thread}")
        for message in reversed(client.threads.messages(thread, order="desc", limit=SHOWN).first(SHOWN)):
            if self._plain:
                who = {"user": "> ", "assistant": ""}.get(message.role, f"{message.role}: ")
                printing.show_piece(f"{who}{message.content}\n")
            else:
                printing.show_line(message.raw)
        for run in client.threads.runs(thread).first(1):
            if run.status not in OVER:
                printing.note(f"the run {run.run_id} goes on")
                screen = self._screen()
                self._follow(
                    client.threads.follow(run.run_id, allow_gaps=True, backoff=PATIENCE, on_cut=screen.cut), screen
                )

    def _screen(self) -> Shows:
        return Screen() if self._plain else Lines()

    def _follow(self, stream: AgentStream, screen: Shows) -> Run:
        """Show a run to its end, and answer what it asks."""
        with Stop(self._connection, stream).listening() as stop:
            stream.begin()
            stop.begun()
            why = ""
            for event in stream:
                screen.show(event)
                if isinstance(event, RunEnded) and event.refusal is not None:
                    why = f" [{event.code}: {event.refusal}]"
                if isinstance(event, InputAsked) and self._plain:
                    self._answer(stop, stream.run_id, event)
        ended = self._client.runs.get(stream.run_id)
        if self._plain:
            if ended.error:
                printing.fail(f"{ended.error_class}: {ended.error}{why}", _advice(ended))
            elif ended.state == "cancelled":
                printing.note("cancelled; what it said is kept in the thread")
            printing.note(summary(ended))
        return ended

    def _answer(self, stop: "Stop", run_id: str, asked: InputAsked) -> None:
        with stop.raising():
            try:
                if asking.is_there():
                    return asking.answer(self._client, run_id, asked)
            except KeyboardInterrupt:
                return stop.ask()
            except EOFError:
                printing.say()
        raise CommandError(
            f"The run {run_id} asks and waits, and nobody is there to answer: {printing.printable(asked.prompt)}",
            f"Answer it with `runwright inputs send {run_id} ANSWER`, and take the conversation up with --thread.",
        )


class Stop:
    """What Ctrl-C does while a run works: the first asks for the run's end, the second leaves.

    The stream is not disturbed: who asks is another thread with connections of its own. So nothing is shown twice or
    lost, whenever the key is pressed.
    """

    def __init__(self, connection: Connection, stream: AgentStream) -> None:
        self._connection = connection
        self._stream = stream
        self._pressed = False
        self._asked = False
        self._raises = False

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Take Ctrl-C while the block runs."""
        before = signal.signal(signal.SIGINT, self._on_key)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let Ctrl-C interrupt the block, which waits for the keyboard."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def begun(self) -> None:
        """Ask now for what was asked for before the run was known."""
        if self._pressed:
            self.ask()

    def ask(self) -> None:
        """Ask for the run's end, once."""
        self._pressed = True
        if self._stream.run_id and not self._asked:
            self._asked = True
            threading.Thread(target=self._cancel, daemon=True).start()

    def _on_key(self, number: int, frame: object) -> None:
        if self._pressed or self._raises:
            raise KeyboardInterrupt
        self.ask()

    def _cancel(self) -> None:
        stream = self._stream
        sys.stderr.write("\n· cancelling; Ctrl-C once more leaves, and lets it end by itself\n")
        try:
            with self._connection.client() as client:
                client.runs.cancel(stream.run_id, last_seen_seq=stream.last_seq)
        except ClientError as refused:
            sys.stderr.write(f"· it could not be cancelled: {refused}\n")


def _advice(run: Run) -> str:
    return f"`runwright runs get {run.id}` tells more; `runwright threads retry {run.thread_id}` makes the run again."
