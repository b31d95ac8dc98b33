"""A workspace that is there to be read: whatever a command tries, the tree is the same afterwards."""

import os
from pathlib import Path

import pytest

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.command import Command, Ended
from runwright.sandbox.means import Means
from runwright.sandbox.snapshot import Limits, Tree, TreeRefused, survey

LIMITS = Limits(1000, 1 << 20)
TRIES = r"""
import ctypes, os, shutil, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
done = []

def tried(name, what):
    try:
        what()
    except BaseException as refused:
        print(name, type(refused).__name__, getattr(refused, "errno", ""))
    else:
        done.append(name)

def checked(answer):
    if answer != 0:
        raise OSError(ctypes.get_errno(), "refused")

def through(path):
    with open(path, "w") as file:
        file.write("changed")

def mapped():
    import mmap
    fd = os.open("/workspace/a", os.O_RDONLY)
    mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)[0] = 0x21

def by_another_name():
    fd = os.open("/workspace/a", os.O_RDONLY)
    through(f"/proc/self/fd/{fd}")

def of_the_first():
    through("/proc/1/root/workspace/a")

def by_its_directory():
    fd = os.open("/workspace", os.O_RDONLY | os.O_DIRECTORY)
    os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=fd)

def namespaced():
    script = "mount -o remount,rw /workspace && echo x > /workspace/a"
    subprocess.run(["unshare", "--user", "--mount", "sh", "-c", script], check=True, capture_output=True)

tried("open", lambda: through("/workspace/a"))
tried("append", lambda: os.open("/workspace/a", os.O_WRONLY | os.O_APPEND))
tried("truncate", lambda: os.truncate("/workspace/a", 0))
tried("create", lambda: through("/workspace/new"))
tried("create deep", lambda: through("/workspace/d/new"))
tried("unlink", lambda: os.unlink("/workspace/a"))
tried("rename away", lambda: os.rename("/workspace/a", "/workspace/b"))
tried("rename out", lambda: os.rename("/workspace/a", "/tmp/a"))
tried("rename in", lambda: (through("/tmp/t"), os.rename("/tmp/t", "/workspace/a")))
tried("exchange", lambda: checked(libc.renameat2(-100, b"/workspace/a", -100, b"/workspace/d", 2)))
tried("mkdir", lambda: os.mkdir("/workspace/n"))
tried("rmdir", lambda: shutil.rmtree("/workspace/d"))
tried("link in", lambda: (through("/tmp/t"), os.link("/tmp/t", "/workspace/l")))
tried("link out", lambda: (os.link("/workspace/a", "/tmp/l"), through("/tmp/l")))
tried("link within", lambda: os.link("/workspace/a", "/workspace/l"))
tried("symlink", lambda: os.symlink("/tmp", "/workspace/s"))
tried("fifo", lambda: os.mkfifo("/workspace/f"))
tried("chmod", lambda: os.chmod("/workspace/a", 0o755))
tried("fchmod", lambda: os.fchmod(os.open("/workspace/a", os.O_RDONLY), 0o755))
tried("chown", lambda: os.chown("/workspace/a", os.getuid(), os.getgid()))
tried("times", lambda: os.utime("/workspace/a", (0, 0)))
tried("attribute", lambda: os.setxattr("/workspace/a", "user.x", b"1"))
tried("mapped", mapped)
tried("by its number", by_another_name)
tried("by the root of a process", lambda: through("/proc/self/root/workspace/a"))
tried("by the first process", of_the_first)
tried("by the working directory", lambda: through("/proc/self/cwd/a"))
tried("by an open directory", by_its_directory)
tried("remount", lambda: checked(libc.mount(None, b"/workspace", None, 32 | 4096, None)))
tried("bind", lambda: checked(libc.mount(b"/tmp", b"/workspace", None, 4096, None)))
tried("unmount", lambda: checked(libc.umount2(b"/workspace", 2)))
tried("namespace", namespaced)
tried("link to it", lambda: (os.symlink("/workspace/a", "/tmp/way"), through("/tmp/way")))
print("done:", done)
sys.exit(len(done))
"""


def tree_of(files: Beneath) -> Tree:
    """Return what a workspace holds."""
    return survey(files.root, LIMITS)


async def laid(files: Beneath) -> None:
    """Lay a small tree, owned as a checkout's would be."""
    for name, text in (("a", "kept\n"), ("d/b", "kept, too\n")):
        path = files.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        for each in (path, path.parent):
            if files.owner is not None:
                os.chown(each, files.owner, files.owner)


def command(*words: str, writable: bool = True) -> Command:
    """Return a command with the usual bounds, and the program that tries everything."""
    return Command(words, 60, 256 << 20, 1, 1 << 20, files={"tries.py": TRIES}, writable=writable)


def place(means: Means, *, writable: bool) -> RunWorkspace:
    """Return the workspace of a new run."""
    return RunWorkspace(means, "", ToolBounds(), "run_1", None, writable=writable)


async def tried(workspace: RunWorkspace) -> Ended:
    """Run the program that tries everything."""
    return await workspace.run(command("python3", "/run/runwright/tries.py"))


async def test_nothing_that_a_command_tries_changes_a_workspace_that_is_there_to_be_read(means: Means):
    workspace = place(means, writable=False)
    try:
        await workspace.lay(laid)
        before, marks = tree_of(workspace.files), _marks(workspace.files.root)
        ended = await tried(workspace)
        assert "done: []" in ended.output, ended.output
        assert ended.status == 0
        assert tree_of(workspace.files).digest == before.digest
        assert _marks(workspace.files.root) == marks
        assert await workspace.settle() is None
    finally:
        await workspace.close()


async def test_the_same_tries_do_change_one_that_may_be_written(means: Means):
    workspace = place(means, writable=True)
    try:
        await workspace.lay(laid)
        ended = await tried(workspace)
        assert (ended.status or 0) > 10, ended.output
        assert (workspace.files.root / "new").read_text() == "changed"
    finally:
        await workspace.close()


async def test_one_command_of_a_run_that_writes_may_be_told_to_read_only(means: Means):
    workspace = place(means, writable=True)
    try:
        await workspace.lay(laid)
        ended = await workspace.run(command("sh", "-c", "echo x > a", writable=False))
        assert ended.status != 0
        assert "Read-only file system" in ended.output
        assert (await workspace.run(command("sh", "-c", "cat a d/b && echo x > /tmp/x && cat /tmp/x"))).output == (
            "kept\nkept, too\nx\n"
        )
    finally:
        await workspace.close()


async def test_what_is_written_past_the_sandbox_is_put_back(means: Means):
    workspace = place(means, writable=False)
    try:
        await workspace.lay(laid)
        (workspace.files.root / "a").write_text("changed by a defect of the server\n")
        with pytest.raises(TreeRefused, match="may only read its workspace"):
            await workspace.settle()
        assert (workspace.files.root / "a").read_text() == "kept\n"
    finally:
        await workspace.close()


def _marks(root: Path) -> list[tuple[str, int, int, int]]:
    found = [(path, path.lstat()) for path in sorted(root.rglob("*"))]
    return [(str(path), stat.st_ino, stat.st_mode, stat.st_nlink) for path, stat in found]
