"""Programs that are forked instead of started: they end as themselves, and never outlive who asked for them."""

import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import nursery
from tests.acceptance.live_server import environment
from tests.engine.world import until


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "runwright"
    path.write_text(nursery.ASKING)
    path.chmod(0o755)
    return path


def started(program: Path, *words: str, **settings: Any) -> subprocess.Popen[str]:
    door = nursery.door().fileno()
    env = {**environment(**settings), nursery.DOOR: str(door)}
    pipe = subprocess.PIPE
    return subprocess.Popen([program, *words], env=env, stdout=pipe, stderr=pipe, text=True, pass_fds=[door])


def gone(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


def test_a_program_ends_with_the_status_and_the_words_of_what_was_forked(program: Path):
    with started(program, "no-such-command") as unknown, started(program, "version") as version:
        assert "no-such-command" in unknown.communicate()[1]
        assert "0.1" in version.communicate()[0]
    assert (unknown.returncode, version.returncode) == (2, 0)


async def test_what_was_forked_hears_of_a_signal_and_does_not_outlive_a_kill(program: Path, tmp_path: Path):
    for number, end in ((15, 0), (9, -9)):
        with started(program, "serve", data_dir=tmp_path / "data", port=0) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline().rpartition(":")[2])
            assert not gone(port)
            server.send_signal(number)
            assert server.wait() == end
            await until(partial(gone, port))
