"""Remediation loops on a server that is a process: a repository, a scanner and a gate that stand still where told."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.agent_runs import scripts
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.process_jobs import processes_with
from tests.acceptance.speech import Json, Speech, said, unique
from tests.engine.databases import Database
from tests.engine.repairing import repository
from tests.waiting import until

LOOPS = "/api/v1/loops/omar"
MENDS, SILENT = "mends", "silent"
FILES = {"app.py": "one = 1\nbad = 1  # BAD-P1\n"}
_MARKS = """\
import glob, json, os, sys, time
while os.path.exists(sys.argv[1] + "/scan"):
    time.sleep(0.02)
found = [
    {"ruleId": "bad", "level": "error", "message": {"text": "a mark"},
     "locations": [{"physicalLocation": {"artifactLocation": {"uri": name}, "region": {"startLine": number}}}]}
    for name in glob.glob("*.py") for number, line in enumerate(open(name), 1) if "BAD" in line
]
print(json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "marks"}}, "results": found}]}))
"""
_GATE = """\
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
if os.path.exists(held):
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            time.sleep(3600)
print("begun", flush=True)
while os.path.exists(held):
    time.sleep(0.02)
sys.exit("broken" in open("app.py").read())
"""


def answer(content: str) -> Json:
    """Return a turn of the model: the whole file anew."""
    edit = msgspec.json.encode([{"path": "app.py", "content": content}]).decode()
    return {"text": ["Here:\n", f"```json\n{edit}\n```"], "delay_s": 0.05}


TURNS = [answer("one = 1\nbad = 2  # BAD-P1\n"), answer("one = 1\n")]
"""The first patch makes nothing better, the second one makes the tree clean."""
NEVER = [TURNS[0] | {"delay_s": 3600}]
Where = Callable[[Json], bool]


def at(type: str, **data: Any) -> Where:
    """Return what finds an event."""
    return lambda event: event["type"] == type and data.items() <= event["data"].items()


def behind(seq: int) -> Where:
    """Return what finds where a log has come so far."""
    return lambda event: bool(event["seq"] >= seq)


class Mending:
    """A server with what loops need, and what they leave on this machine."""

    def __init__(self, root: Path, open_directory: Path, database: Database, **settings: Any) -> None:
        self.scratch, self.held = open_directory / "scratch", open_directory / "held"
        for each in (self.scratch, self.held):
            each.mkdir()
            each.chmod(0o711 if each == self.scratch else 0o755)
        (self.held / "marks.py").write_text(_MARKS)
        self._root = root
        self._approver: str | None = None
        self.server = LiveServer(
            root,
            database,
            **{
                **MORTAL,
                **scripts(root, **{MENDS: TURNS, SILENT: NEVER}),
                "lease_s": 2,
                "repository_roots": root / "repositories",
                "scanners": "none",
                "scan_commands": f"marks=/usr/bin/python3 {self.held}/marks.py {self.held}",
                "process_paths": self.held,
                "process_dir": self.scratch,
                **settings,
            },
        )

    @property
    def api(self) -> Speech:
        """Return the API of the server as it runs now."""
        return Speech(self.server.client())

    async def start(self) -> None:
        """Start the server, and give it the model."""
        await self.server.start()
        for name in (MENDS, SILENT):
            route = {"name": name, "kind": "scripted", "model": name}
            await said(self.api.client.post("/v1/routes", json=route), 201)

    def hold(self, name: str) -> None:
        """Let a command stand still: the scanner (`scan`), or a gate by the look and the try (`1_whole_1`)."""
        (self.held / name).touch()

    def let(self, name: str) -> None:
        """Let a command go on."""
        (self.held / name).unlink(missing_ok=True)

    def processes(self) -> list[int]:
        """Return the processes of commands."""
        return processes_with(str(self.held))

    async def order(self, **more: Any) -> str:
        """Start a loop over a new repository, and return its id."""
        repo = repository(self._root / "repositories" / unique("repo"), FILES)
        head = f'import os, signal, sys, time; held = "{self.held}/" + os.environ["RUNWRIGHT_STEP_ID"]\n'
        body = {
            "repo": repo,
            "models": {"orchestrator": MENDS},
            "quality_gates": [{"id": "whole", "command": ["python3", "-c", head + _GATE]}],
            **more,
        }
        return str((await said(self.api.client.post(LOOPS, json=body), 202))["loop_id"])

    async def approve(self, run_id: str) -> None:
        """Let a member allow what a loop asks now."""
        if self._approver is None:
            user = await said(self.api.client.post("/v1/users", json={"name": "Ada"}), 201)
            await said(self.api.client.post("/v1/members", json={"user_id": user["id"], "role": "approver"}), 201)
            self._approver = str((await self.api.key("admin", user_id=user["id"]))["token"])
        path, headers = f"/api/v1/runs/{run_id}/approvals", {"authorization": f"Bearer {self._approver}"}
        for found in await said(self.api.client.get(path)):
            if found["status"] == "pending":
                told = {"decision": "approve", **{name: found[name] for name in ("checkpoint_id", "subject_sha256")}}
                await said(self.api.client.post(path, json=told, headers=headers))

    async def seen(self, run_id: str, where: Where | None, after: Sequence[Json] = ()) -> list[Json]:
        """Return what a client has seen by an event, or (None) by the end, and allow what the loop asks on the way."""
        seen = [*after]
        async with self.api.following(run_id, after_seq=seen[-1]["seq"] if seen else 0) as events:
            async for event in events:
                seen.append(event)
                if where is not None and where(event):
                    return seen
                if event["type"] == "approval.requested":
                    await self.approve(run_id)
        assert where is None, f"it ended without it: {[event['type'] for event in seen]}"
        return seen

    async def die(self) -> None:
        """Kill the server, see that nothing of its commands lives on, and start another one."""
        await self.server.kill()
        await until(lambda: self.processes() == [])
        await self.server.start()

    def places(self) -> list[str]:
        """Return the workspaces of runs and commands that lie in the directory for them."""
        homes = [place for each in self.scratch.iterdir() for place in each.iterdir() if place.is_dir()]
        return [place.name for place in homes if "." in place.name and not place.name.startswith(".")]


@pytest.fixture(scope="module", params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name one database: what is tested is what lies on this machine, and what a loop does with it."""
    return str(request.param)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Make a directory that others may pass."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
async def mending(tmp_path: Path, open_directory: Path, database: Database) -> AsyncIterator[Mending]:
    made = Mending(tmp_path, open_directory, database)
    await made.start()
    yield made
    await made.server.close()
    assert (made.processes(), list(made.scratch.iterdir())) == ([], [])
