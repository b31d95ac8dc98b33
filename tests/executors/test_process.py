"""Commands in their sandbox: what they are given and may not have, how they end, and that nothing of them is left."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.client.errors import LeaseLost
from runwright.client.outcome import Completed, Failed, Outcome, Stopped
from runwright.client.processes import ProcessCall, ProcessOrder
from runwright.executors.process.run import run_process
from runwright.sandbox import seccomp
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.means import Means, NoSandbox
from runwright.sandbox.sandbox import brought
from runwright.sandbox.workspace import PREFIX, Workspaces
from tests.client.scripted_session import Journal, ScriptedSession
from tests.waiting import until


class Stage:
    """One lease of one run of a command."""

    def __init__(self, means: Means, journal: Journal | None = None, **lease: object) -> None:
        self.means = means
        self.journal = journal or Journal()
        self.session = ScriptedSession(self.journal, {"a": 1}, **lease)  # type: ignore[arg-type]

    async def run(self, *command: str, grace_s: float = 20.0, **order: object) -> Outcome:
        """Run a command to its end."""
        usual = {"tty": False, "network": False, "preset": "micro", "cpus": 1, "memory_mb": 256}
        wanted = ProcessOrder(command=command, **{**usual, **order})  # type: ignore[arg-type]
        call = ProcessCall(
            order=wanted, job_id="job_1", run_token="token", api_url="http://127.0.0.1:9", stop_grace_s=grace_s
        )
        try:
            return await run_process(call, self.session, self.means)
        finally:
            self.session.flush()

    async def sh(self, script: str, **order: object) -> Outcome:
        """Run a script to its end."""
        return await self.run("sh", "-c", script, **order)  # type: ignore[arg-type]

    async def begun(self) -> None:
        """Wait until the command has said something."""
        await until(self.output)

    def output(self, stream: str = "stdout") -> str:
        """Return what the command wrote."""
        self.session.flush()
        return "".join(each["chunk"] for each in self.journal.of("terminal.output") if each["stream"] == stream)


@pytest.fixture
def stage(means: Means) -> Stage:
    """Return the lease of a new run."""
    return Stage(means)


def failure(outcome: Outcome) -> tuple[str, str | None, bool]:
    """Return what a failure is, and whether it may be tried again."""
    assert isinstance(outcome, Failed), outcome
    return outcome.error_class, outcome.code, outcome.retryable


# --- what it is given, and what it is not -----------------------------------------------------------------------------


async def test_it_sees_nothing_of_the_server_but_what_it_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_MASTER_KEY", "a-secret-of-the-server")
    await stage.sh("env | sort; ls /proc | grep -c '^[0-9]'; ls -1 /proc/self/fd; id -u")
    said = stage.output()
    assert "a-secret-of-the-server" not in said
    told = {line.partition("=")[0] for line in said.splitlines() if line.startswith("RUNWRIGHT_")}
    names = ("RUN_ID", "JOB_ID", "ATTEMPT", "RUN_TOKEN", "API_URL", "PAYLOAD_FILE", "CHECKPOINT_FILE", "RESULT_FILE")
    assert told == {f"RUNWRIGHT_{name}" for name in names}
    processes, *fds, user = said.splitlines()[-6:]
    assert (int(processes) <= 4, fds, user) == (True, ["0", "1", "2", "3"], "1000")


async def test_what_its_project_gives_it_is_its_own_and_reaches_nothing_before_it(stage: Stage):
    stage.session.env |= {"LD_PRELOAD": "/workspace/made-by-somebody.so", "RUNWRIGHT_RUN_ID": "another", "HOME": "/tmp"}
    running = asyncio.create_task(stage.sh('echo "$API_KEY $REGION $RUNWRIGHT_RUN_ID $HOME"; sleep 60'))
    await stage.begun()
    assert stage.output() == "s3cret eu run_1 /tmp\n"
    assert not any(b"s3cret" in line for line in _of_processes("cmdline").values())
    starters = {pid for pid, line in _of_processes("cmdline").items() if b"--json-status-fd" in line}
    began = _of_processes("environ")
    assert starters
    assert not any(b"LD_PRELOAD" in began.get(pid, b"") for pid in starters), "it would run as the server"
    stage.session.stop.request("cancel")
    assert await running == Stopped("cancel")


@pytest.mark.parametrize(
    "script",
    [
        "echo x > /etc/passwd",
        "echo x > /usr/bin/x",
        "echo x > /proc/sys/kernel/panic",
        "cat /etc/shadow",
        "ls /root",
        "ls /home",
        "mount -t tmpfs none /tmp",
        "unshare --user true",
        "kill -9 1 && sleep 0.1 && test -e /proc/1 && exit 9",
    ],
)
async def test_what_is_not_its_own_is_refused(stage: Stage, script: str):
    outcome = await stage.sh(script)
    assert failure(outcome)[0] == "ProcessExit", (script, stage.output(), outcome)


async def test_calls_that_no_command_needs_are_filtered(stage: Stage):
    script = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
keyctl, bpf = {"x86_64": (250, 321), "aarch64": (219, 280)}[platform.machine()]
for number in (keyctl, bpf):
    assert libc.syscall(number, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == errno.EPERM, number
"""
    assert await stage.run("python3", "-c", script) == Completed(None), stage.output("stderr")


def test_the_filter_knows_two_machines_and_no_others():
    assert {len(seccomp.program(machine) or b"") % 8 for machine in ("x86_64", "aarch64")} == {0}
    assert seccomp.program("riscv64") is None


async def test_paths_that_the_operator_shows_can_be_read_and_not_written(means: Means, open_directory: Path):
    shown = open_directory / "shown"
    shown.mkdir()
    (shown / "tool").write_text("#!/bin/sh\necho shown\n")
    (shown / "tool").chmod(0o755)
    showing = Means(replace(means.sandbox, paths=(str(shown),)), means.workspaces, means.bounds, means.clock)
    stage = Stage(showing)
    outcome = await stage.sh(f"{shown}/tool && echo x > {shown}/tool")
    assert failure(outcome)[0] == "ProcessExit"
    assert stage.output() == "shown\n"


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("true", None),
        ('echo \'{"a": 1}\' > "$RUNWRIGHT_RESULT_FILE"', {"a": 1}),
        ('echo "[1]" > "$RUNWRIGHT_RESULT_FILE"', [1]),
        ('echo plain > "$RUNWRIGHT_RESULT_FILE"', {"text": "plain\n"}),
        ('ln -s /etc/passwd "$RUNWRIGHT_RESULT_FILE"', None),
        ('mkfifo "$RUNWRIGHT_RESULT_FILE"', None),
    ],
)
async def test_its_result_is_what_it_wrote_into_the_file_for_it_and_never_what_that_leads_to(
    stage: Stage, script: str, result: object
):
    assert await stage.sh(script) == Completed(result)


async def test_a_result_that_is_too_large_is_refused(stage: Stage):
    outcome = await stage.sh('head -c 2000000 /dev/zero > "$RUNWRIGHT_RESULT_FILE"')
    assert failure(outcome) == ("ResultRefused", "process.result_too_large", False)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", ("ProcessExit", "process.exit", True)),
        ("kill -SEGV $$", ("ProcessSignal", "process.signal", True)),
        ("exec /no/such/program", ("ProcessExit", "process.exit", True)),
    ],
)
async def test_another_exit_status_is_a_failure_that_may_be_tried_again(stage: Stage, script: str, told: object):
    assert failure(await stage.sh(script)) == told


async def test_a_command_that_does_not_exist_is_not_tried_again(stage: Stage):
    assert failure(await stage.run("no-such-program")) == ("CommandNotStarted", "process.not_started", False)


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "script", "bounds"),
    [
        ("memory", "exec python3 -c 'import time; kept = bytearray(300 << 20); time.sleep(60)'", {}),
        ("pids", "for each in $(seq 30); do sleep 60 & done; wait", {"pids_max": 20}),
        ("workspace", "head -c 3000000 /dev/zero > one; head -c 3000000 /dev/zero > /tmp/two; sleep 60", {}),
        ("output", "yes", {"output_max_bytes": 100_000}),
    ],
)
async def test_a_limit_that_is_passed_ends_the_command_for_good(
    means: Means, limit: str, script: str, bounds: dict[str, int]
):
    small = replace(means.bounds, **{"workspace_max_bytes": 4 << 20, **bounds})
    stage = Stage(Means(means.sandbox, means.workspaces, small, means.clock))
    outcome = await stage.sh(script)
    assert failure(outcome) == (f"{limit.title()}Limit", f"process.{limit}_limit", False)
    [limited] = stage.journal.of("process.limited")
    assert (limited["limit"], limited["used"] > limited["most"] or limited["means"] == "cgroup") == (limit, True)
    assert len(stage.output()) <= small.output_max_bytes


BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(60)
"""


async def test_a_fork_bomb_cannot_outrun_the_look_at_it(means: Means):
    small = replace(means.bounds, pids_max=20, sample_s=0.5)
    stage = Stage(Means(means.sandbox, means.workspaces, small, means.clock))
    outcome = await stage.run("python3", "-I", "-S", "-c", BOMB, memory_mb=2048)
    assert failure(outcome)[0] == "PidsLimit"
    assert stage.journal.of("process.limited")[0]["used"] <= 2 * 20 + 8


async def test_it_has_as_many_cpus_as_its_preset(stage: Stage):
    await stage.sh("nproc", cpus=1)
    assert stage.output() == "1\n"


# --- stops ------------------------------------------------------------------------------------------------------------


async def test_a_stop_is_heard_and_what_it_leaves_to_go_on_from_is_kept(stage: Stage):
    script = """
        trap 'echo "{\\"at\\": 7}" > "$RUNWRIGHT_CHECKPOINT_FILE"; exit 0' TERM
        echo ready; while :; do sleep 0.01; done
    """
    running = asyncio.create_task(stage.sh(script))
    await stage.begun()
    stage.session.stop.request("pause")
    assert await running == Stopped("pause")
    assert stage.journal.kept["checkpoint"] == {"1": {"at": 7}}
    again = Stage(stage.means, stage.journal, lease_epoch=2)
    await again.sh('echo; cat "$RUNWRIGHT_CHECKPOINT_FILE"; echo \'{"at": 8}\' > "$RUNWRIGHT_CHECKPOINT_FILE"')
    assert again.output().endswith('\n{"at":7}')
    assert stage.journal.kept["checkpoint"]["2"] == {"at": 8}


async def test_who_does_not_hear_is_killed_within_the_grace_with_all_that_it_started(stage: Stage):
    script = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo ready; while :; do sleep 0.1; done"
    running = asyncio.create_task(stage.sh(script, grace_s=0.2))
    await stage.begun()
    stage.session.stop.request("cancel")
    assert await running == Stopped("cancel")
    assert stage.journal.of("process.ended")[0]["exit_code"] == 128 + signal.SIGKILL


async def test_half_a_checkpoint_is_not_kept_and_says_so(stage: Stage):
    await stage.sh('echo \'{"at": \' > "$RUNWRIGHT_CHECKPOINT_FILE"')
    assert stage.journal.kept["checkpoint"] == {}
    assert [event.level for event in stage.journal.events if event.type == "log"] == ["warning"]


async def test_a_cancelled_execution_leaves_no_process_and_no_workspace(stage: Stage):
    marker = f"marker-{os.urandom(4).hex()}"
    keep = 'echo \'{"at": 1}\' > "$RUNWRIGHT_CHECKPOINT_FILE"'
    running = asyncio.create_task(stage.sh(f"{keep}; echo here; sleep 60; {marker}"))
    await stage.begun()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(marker.encode() in line for line in _of_processes("cmdline").values())
    assert stage.journal.kept["checkpoint"] == {"1": {"at": 1}}
    assert list(stage.means.bounds.directory.glob(f"{PREFIX}*/run_1.*")) == []


def _of_processes(file: str) -> dict[str, bytes]:
    found = {}
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        try:
            found[path.parent.name] = path.read_bytes()
        except OSError:
            continue
    return found


async def test_a_lost_lease_ends_the_command(means: Means):
    stage = Stage(means, die_at=1)
    with pytest.raises(LeaseLost):
        await stage.sh("head -c 400000 /dev/zero; sleep 60")


# --- the means --------------------------------------------------------------------------------------------------------


async def test_without_a_place_for_workspaces_there_is_no_sandbox(tmp_path: Path):
    with pytest.raises(NoSandbox, match="cannot hold workspaces"):
        await Means.find(Bounds(directory=tmp_path / "missing"))
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        with pytest.raises(NoSandbox, match="Permission denied"):
            await Means.find(Bounds(directory=tmp_path / "closed"))
    with pytest.raises(NoSandbox, match="is no directory"):
        await Means.find(Bounds(directory=tmp_path, paths=("/no/such",)))


async def test_a_sandbox_in_a_place_that_is_closed_to_others_is_brought_out_of_it(means: Means, open_directory: Path):
    program = brought(open_directory)
    assert program is not None
    elsewhere = Means(replace(means.sandbox, bwrap=program), means.workspaces, means.bounds, means.clock)
    assert await Stage(elsewhere).sh("true") == Completed(None)


async def test_what_a_killed_server_left_is_removed_by_the_next_one(tmp_path: Path):
    dead, alive = tmp_path / f"{PREFIX}dead", Workspaces(tmp_path, None, resolver="192.0.2.1")
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "run_1").mkdir()
    place = await alive.make("run_2", {}, None)
    other = Workspaces(tmp_path, None, resolver="192.0.2.1")
    assert (dead.exists(), place.work.exists()) == (False, True)
    other.close()
    alive.close()
    assert list(tmp_path.iterdir()) == []
