"""`runwright serve` and `up`, as processes."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.cli.live import command, end, environment, server, until

pytestmark = pytest.mark.slow


def test_serve_prints_one_line_when_it_is_ready_and_drains_on_sigterm(tmp_path: Path):
    with server(tmp_path / "data", tmp_path, "--port", "0") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("tokens", "code", "told"),
    [
        (["--port", "70000"], 2, "--port"),
        (["--worker", "no_such_module:app"], 1, "no module 'no_such_module'"),
        (["--worker", "examples.hello:nothing"], 1, "no Worker named 'nothing'"),
        (["--config", "/no/such/file.toml"], 2, "/no/such/file.toml"),
    ],
)
def test_serve_tells_what_is_wrong_with_its_settings(tmp_path: Path, tokens, code, told):
    process = command("serve", *tokens, data_dir=tmp_path / "data")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert told in err
    assert "Traceback" not in err


def test_serve_refuses_a_data_directory_that_another_server_holds(tmp_path: Path):
    with server(tmp_path / "data", tmp_path, "--port", "0"):
        second = command("serve", "--port", "0", data_dir=tmp_path / "data")
        out, err = second.communicate(timeout=60)
        assert (second.returncode, out) == (1, "")
        assert "[store.locked]" in err
        assert "--data-dir" in err


def test_up_shows_the_samples_and_exits(tmp_path: Path):
    process = command("up", "--exit", "--port", "0", data_dir=tmp_path / "data")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    facts = {line.split("  ")[0]: line.rsplit("  ", 1)[-1].strip() for line in out.splitlines() if "  " in line}
    assert facts["status"] == "completed"
    assert facts["attempts"] == "2"
    assert "deliberate failure" in facts["failed on the way"]
    assert int(facts["steps kept from an earlier attempt"]) > 2
    assert facts["model"] == "smollm2-135m-instruct, in this process"
    assert int(facts["tokens in"]) > 10
    assert int(facts["tokens out"]) > 10
    assert facts["cost"] == "$0"
    assert (facts["gate"], facts["step is-there"], facts["findings"]) == ("passed", "succeeded", "0")
    assert "writing\x1b[0m a greeting" in out, "the command has a terminal, and colours"
    said = out.partition("keep a log?\n")[2].partition("\n\n")[0]
    assert len(said.split()) > 5, "the model said something"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_goes_on_serving_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "settings.toml").write_text(f"port = {port}\nagent_slots = 0\n")  # the model has said enough above
        process = command("up", "--config", str(tmp_path / "settings.toml"), data_dir=tmp_path / "data")
        assert until(process.stdout, "serving until Ctrl-C") is not None, "a taken port is no obstacle"
        assert end(process, number) == 0


def test_watch_that_is_interrupted_leaves_the_run_alone(tmp_path: Path):
    data_dir = tmp_path / "data"
    with server(data_dir, tmp_path, "--port", "0"):
        payload = msgspec.json.encode({"until": str(tmp_path / "let-go")}).decode()
        watching = command("trigger", "hold", "-p", payload, "--watch", "--json", data_dir=data_dir)
        seen = [msgspec.json.decode(next(iter(watching.stdout or ())))]
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
        assert watching.returncode == 130
        assert "Traceback" not in err
        (tmp_path / "let-go").write_text("")
        again = command("runs", "watch", seen[0]["run_id"], data_dir=data_dir)
        again.communicate(timeout=60)
        assert again.returncode == 0


def test_watch_outlives_a_server_that_is_killed_and_started_again(tmp_path: Path, kept_port: int):
    data_dir = tmp_path / "data"
    until_file = tmp_path / "let-go"
    lease = ["--port", str(kept_port)]
    (tmp_path / "settings.toml").write_text("lease_s = 1.0\nheartbeat_s = 0.2\nreaper_s = 0.1\n")
    lease += ["--config", str(tmp_path / "settings.toml")]
    with server(data_dir, tmp_path, *lease) as (first, _):
        payload = msgspec.json.encode({"until": str(until_file)}).decode()
        watching = command("trigger", "hold", "-p", payload, "--watch", "--json", data_dir=data_dir)
        lines = iter(watching.stdout or ())
        seen = [next(line for line in lines if '"holding"' in line)]
        assert end(first, signal.SIGKILL) == -signal.SIGKILL
    with server(data_dir, tmp_path, *lease):
        seen += [next(line for line in lines if '"holding"' in line)]
        until_file.write_text("")
        rest = [msgspec.json.decode(line) for line in lines]
        assert end(watching, signal.SIGTERM) == 0
        run_id = rest[-1]["run_id"]
        listed = subprocess.run(
            [sys.executable, "-m", "runwright", "runs", "events", run_id, "--json"],
            env=environment(data_dir),
            capture_output=True,
            text=True,
            check=True,
        )
    everything = [msgspec.json.decode(line) for line in listed.stdout.splitlines()]
    assert [event["seq"] for event in everything] == list(range(1, len(everything) + 1))
    assert [event["seq"] for event in rest] == list(range(rest[0]["seq"], len(everything) + 1))
    assert rest[-1]["type"] == "run.completed"
