"""`runwright chat` as a person uses it: a real server, a process on a real terminal, Ctrl-C and what comes after."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from runwright.client.sync.api import Client
from tests.cli.live import REPOSITORY, command, end, environment, server

pytestmark = pytest.mark.slow

AGAIN_S = 5.0
LONG = [f"word{number} " for number in range(2000)]
SCRIPTS = {
    "tales": {"turns": [{"text": LONG, "delay_s": 0.02}, {"text": ["So it ", "was."]}]},
    "short": {"turns": [{"text": LONG[:100], "delay_s": 0.02}]},
    "asks": {
        "turns": [
            {"tool_calls": [{"id": "c", "name": "ask_user", "arguments": '{"question": "Which colour?"}'}]},
            {"text": ["Red it is."]},
        ]
    },
}


class Terminal:
    """A command on a terminal of its own, and what a person sees and types there."""

    def __init__(self, data_dir: Path, *tokens: str) -> None:
        self._keyboard, end = pty.openpty()
        # A session's leader that opens a terminal controls it: so Ctrl-C there is a signal to the command.
        program = 'exec "$0" -m runwright "$@" < "$TERMINAL" > "$TERMINAL" 2>&1'
        self.process = subprocess.Popen(
            ["bash", "-c", program, sys.executable, *tokens],
            cwd=REPOSITORY,
            env={**environment(data_dir), "TERMINAL": os.ttyname(end), "NO_COLOR": "1", "TERM": "xterm"},
            start_new_session=True,
        )
        self._screen = ""
        self._read = 0
        self.sees("> ")  # it has the terminal now, so our end of it can go
        os.close(end)

    def sees(self, text: str) -> str:
        """Read on to where this stands; return all that is shown before it and was not read yet."""
        while (found := self._screen.find(text, self._read)) < 0:
            try:
                shown = os.read(self._keyboard, 4096)
            except OSError:  # the other end is closed
                shown = b""
            assert shown, f"the terminal ended without {text!r}:\n{self._screen}"
            self._screen += shown.decode("utf-8", "replace").replace("\r", "")
        before, self._read = self._screen[self._read : found], found + len(text)
        return before

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self._keyboard, keys.encode())

    def interrupts(self, until: str) -> None:
        """Press Ctrl-C, again where nothing follows: a key that comes just before a prompt waits is not heard."""
        self.types("\x03")
        while not select.select([self._keyboard], [], [], AGAIN_S)[0]:
            self.types("\x03")
        self.sees(until)

    def ends(self) -> int:
        """Return what the command exits with."""
        try:
            while os.read(self._keyboard, 4096):
                pass
        except OSError:
            pass
        return self.process.wait(timeout=60)

    def close(self) -> None:
        """Take the terminal away."""
        self.process.kill()
        self.process.wait(timeout=60)
        os.close(self._keyboard)


@contextmanager
def on_terminal(data_dir: Path, *tokens: str) -> Iterator[Terminal]:
    terminal = Terminal(data_dir, *tokens)
    try:
        yield terminal
    finally:
        terminal.close()


def settings(directory: Path) -> str:
    """Write the settings of a server whose agents are answered by scripts."""
    scripts = directory / "scripts.json"
    scripts.write_bytes(msgspec.json.encode(SCRIPTS))
    file = directory / "settings.toml"
    file.write_text(f'model_scripts = "{scripts}"\n')
    return str(file)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve agents that scripts answer; return the data directory."""
    tmp_path = tmp_path_factory.mktemp("chat")
    data_dir = tmp_path / "data"
    with server(data_dir, tmp_path, "--port", "0", "--config", settings(tmp_path)):
        with client_of(data_dir) as client:
            for name in SCRIPTS:
                client.routes.create(name, kind="scripted", model=name)
        yield data_dir


def client_of(data_dir: Path) -> Client:
    kept = msgspec.json.decode((data_dir / "credentials.json").read_bytes())
    return Client(kept["url"], kept["api_key"])


def test_a_conversation_is_cut_with_ctrl_c_and_resumed(home: Path):
    with on_terminal(home, "chat", "--route", "tales") as terminal:
        terminal.types("Tell me a tale\n")
        shown = terminal.sees("word7 ")
        terminal.types("\x03")
        shown += "word7 " + terminal.sees("cancelling")
        shown += terminal.sees("cancelled; what it said is kept")
        terminal.sees("tokens in")
        terminal.sees("> ")
        terminal.types("\x04")
        terminal.sees("runwright chat --thread ")
        thread_id = terminal.sees("\n")
        assert terminal.ends() == 0
    with client_of(home) as client:
        (run,) = client.threads.runs(thread_id).all()
        asked, partial = client.threads.messages(thread_id).all()
        used = client.runs.get(run.run_id)
    assert run.status == "cancelled"
    assert (asked.content, partial.role) == ("Tell me a tale", "assistant")
    words = partial.content.split()
    assert words == [f"word{number}" for number in range(len(words))]
    assert 8 <= len(words) < len(LONG)
    assert used.total_input_tokens > 0
    seen = [word for word in shown.split() if word.startswith("word")]
    assert seen == words, "all that is kept was shown, nothing twice"

    with on_terminal(home, "chat", "--thread", thread_id) as terminal:
        terminal.sees("Tell me a tale")
        terminal.sees(words[-1])
        terminal.sees("> ")
        terminal.types("And then?\n")
        terminal.sees("So it was.")
        terminal.sees("> ")
        terminal.types("\x04")
        assert terminal.ends() == 0
    with client_of(home) as client:
        said = [(message.role, message.content) for message in client.threads.messages(thread_id)]
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant"]
    assert said[-1][1] == "So it was."


def test_a_second_ctrl_c_leaves_and_a_question_is_answered_in_place(home: Path):
    with on_terminal(home, "chat", "--route", "asks") as terminal:
        terminal.types("Paint it\n")
        terminal.sees("Which colour?")
        terminal.sees("answer> ")
        terminal.types("red\n")
        assert "ask_user" not in terminal.sees("Red it is."), "it was just answered"
        terminal.sees("tokens in")
        terminal.sees("> ")
        terminal.interrupts("runwright chat --thread ")
        assert terminal.ends() == 130


def test_ctrl_c_at_a_question_cancels_its_run(home: Path):
    with on_terminal(home, "chat", "--route", "asks") as terminal:
        terminal.types("Paint it\n")
        terminal.sees("answer> ")
        terminal.interrupts("cancelled;")
        terminal.sees("> ")
        terminal.types("\x04")
        assert terminal.ends() == 0


def test_what_an_agent_says_outlives_a_server_that_is_killed_without_a_gap_or_a_repeat(tmp_path: Path, kept_port: int):
    data_dir = tmp_path / "data"
    serve = ("--port", str(kept_port), "--config", settings(tmp_path))
    with server(data_dir, tmp_path, *serve) as (first, _):
        with client_of(data_dir) as client:
            client.routes.create("short", kind="scripted", model="short")
        talking = command("chat", "Tell me a tale", "--route", "short", "--json", data_dir=data_dir)
        lines = (msgspec.json.decode(line) for line in talking.stdout or ())
        told = [next(lines)]
        while told[-1]["type"] != "message.delta":
            told.append(next(lines))
        assert end(first, signal.SIGKILL) == -signal.SIGKILL
    with server(data_dir, tmp_path, *serve):
        told += lines
        _, err = talking.communicate(timeout=60)
        assert talking.returncode == 0, err
        with client_of(data_dir) as client:
            everything = [event.raw for event in client.runs.events(told[0]["run_id"])]
    facts = ("seq", "type", "data", "created_at")
    assert [[each[fact] for fact in facts] for each in told] == [[each[fact] for fact in facts] for each in everything]
    assert [each["seq"] for each in told] == [*range(1, len(told) + 1)]
    said: dict[str, str] = {}
    for event in told:
        match event["type"]:
            case "message.delta":
                ident = event["data"]["segment_id"]
                said[ident] = said.get(ident, "") + event["data"]["content"]
            case "message.reset":
                del said[event["data"]["segment_id"]]
    assert [*said.values()] == ["".join(LONG[:100])], "the answer that broke off is taken back, and said again whole"
    assert told[-1]["data"]["output"] == "".join(LONG[:100])
