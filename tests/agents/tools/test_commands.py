"""Commands of agents: what they say, what they see, how they are ended, and that nothing of them is left."""

import asyncio
import secrets
from contextlib import suppress

import pytest
from msgspec.structs import replace

from runwright.agents.tools.port import Fault, Said
from runwright.sandbox.command import Command
from runwright.sandbox.means import Means
from tests.agents.tools.bench import BOUNDS, Bench, processes_with
from tests.deadlines import deadline
from tests.waiting import until


async def test_a_command_tells_its_exit_code_and_both_outputs_in_their_order(bench: Bench):
    ended = await bench.said("shell", command="echo one; echo two >&2; echo three; exit 7")
    assert ended == {"exit_code": 7, "output": "one\ntwo\nthree\n"}


async def test_a_command_is_in_the_workspace_and_knows_the_name_of_its_call(bench: Bench):
    said = await bench.sh("pwd; echo $HOME $RUNWRIGHT_IDEMPOTENCY_KEY; id -u; wc -c")
    assert said.splitlines() == ["/workspace", "/tmp run_1:call_1", "1000", "0"]


async def test_a_program_in_python_runs_and_finds_modules_in_the_workspace(bench: Bench):
    await bench.said("files", action="write", path="ours.py", content="ANSWER = 42\n")
    code = "import ours, sys\nprint('it is', ours.ANSWER)\nsys.exit(3)\n"
    assert await bench.said("python", code=code) == {"exit_code": 3, "output": "it is 42\n"}
    ended = await bench.said("python", code="x = 1\nraise ValueError(x)\n")
    assert ended["exit_code"] == 1
    assert 'main.py", line 2' in ended["output"]
    assert await bench.sh("ls -A") == "ours.py\n", "no cache of compiled modules is left in the workspace"


@pytest.mark.parametrize(
    "command",
    ["cat /etc/shadow", "ls /root", "echo x > /usr/x", "touch /run/x", "unshare -U true", "mount -t tmpfs n /tmp"],
)
async def test_what_is_not_its_own_is_closed(bench: Bench, command: str):
    assert (await bench.said("shell", command=command))["exit_code"] != 0


async def test_there_is_no_network(bench: Bench):
    code = "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)\n"
    assert "Network is unreachable" in (await bench.said("python", code=code))["output"]


async def test_nothing_but_the_workspace_stays_between_commands(bench: Bench):
    marker = f"7{secrets.randbelow(10**9)}"
    await bench.sh(f"touch here /tmp/there /run/runwright/elsewhere; sleep {marker} & true")
    assert processes_with(marker) == []
    said = await bench.sh("ls -A . /tmp /run/runwright")
    assert said == ".:\nhere\n\n/run/runwright:\npayload.json\n\n/tmp:\n"


async def test_a_link_that_a_command_leaves_where_programs_are_put_leads_nowhere(bench: Bench, open_directory):
    victim = open_directory / "victim"
    victim.write_text("mine")
    await bench.sh(f"ln -sf {victim} /run/runwright/main.py; rm -f /run/runwright/payload.json")
    assert (await bench.said("python", code="print(1)"))["output"] == "1\n"
    assert victim.read_text() == "mine"


async def test_of_much_output_the_beginning_and_the_end_are_kept(means: Means):
    async with Bench(means, bounds=replace(BOUNDS, output_max_bytes=2000)) as bench:
        result = await bench.result("shell", command="seq 100000")
        assert isinstance(result, Said)
        assert result.truncated
        output = result.value["output"]
    assert output.startswith("1\n2\n")
    assert output.endswith("\n99999\n100000\n")
    assert len(output) < 2100


async def test_a_command_without_end_is_ended_with_all_that_it_started(bench: Bench):
    marker = f"9{secrets.randbelow(10**9)}"
    command = f"echo begun; (setsid sleep {marker} &) ; sleep {marker}"
    with deadline(44.5) as time:
        running = asyncio.create_task(bench.result("shell", command=command, timeout_s=time.seconds))
        await until(lambda: sleeping(marker) == 2)
        time.passes()
        result = await running
    assert isinstance(result, Fault)
    assert (result.code, result.said) == ("tool.timeout", {"output": "begun\n"})
    assert processes_with(marker) == []


def sleeping(marker: str) -> int:
    """Count the processes that sleep for so long, without the shells that are told to start them."""
    found = 0
    for path in processes_with(marker):
        with suppress(OSError):
            found += (path / "cmdline").read_bytes().startswith(b"sleep")
    return found


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = bytearray(1 << 30)\nimport time; time.sleep(60)", "bytes of memory"),
        ("import os, time\nfor _ in range(200):\n    os.fork() or time.sleep(60)\ntime.sleep(60)", "processes"),
    ],
    ids=["memory", "processes"],
)
async def test_a_command_that_wants_too_much_is_ended(bench: Bench, code: str, said: str):
    result = await bench.result("python", code=code)
    assert isinstance(result, Fault), result
    assert (result.code, said in result.message) == ("tool.limit", True), result


async def test_a_cancel_ends_the_command_and_leaves_nothing_of_it(bench: Bench, means: Means):
    marker = f"8{secrets.randbelow(10**9)}"
    running = asyncio.create_task(bench.make(bench.ready("shell", command=f"sleep {marker}")))
    await until(lambda: processes_with(marker))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_with(marker) == []
    await bench.workspace.close()
    assert _left(means) == []


async def test_who_cancels_again_and_again_leaves_nothing_either(bench: Bench, means: Means):
    marker = f"5{secrets.randbelow(10**9)}"
    command = Command(("sleep", marker), timeout_s=60, memory_bytes=64 << 20, cpus=1, output_max_bytes=1000)
    await bench.workspace.open()
    running = asyncio.create_task(bench.workspace.run(command))
    await until(lambda: processes_with(marker))
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    assert processes_with(marker) == []
    await bench.workspace.close()
    assert _left(means) == []


def _left(means: Means) -> list[str]:
    return [path.name for path in means.workspaces.directory.iterdir() if path.name.startswith(("run_1.", "command."))]
