"""What a process says on its error output when its sandbox refuses it something, and what it says without that."""

import pytest

from runwright.executors.process.refusals import LINE_MAX, Refusals


def told(*pieces: str, failed: bool = True, paths: tuple[str, ...] = ()) -> tuple[str, int, str] | None:
    """Return what is told of a process that said this."""
    refusals = Refusals(paths)
    for piece in pieces:
        refusals.hear(piece)
    draft = refusals.told(failed=failed)
    if draft is None:
        return None
    assert draft.data["means"] == "read"
    return draft.data["what"], draft.data["count"], draft.message.partition(": ")[2]


@pytest.mark.parametrize(
    "line",
    [
        "sh: 1: cannot create /usr/mine: Read-only file system",
        "cat: /root/.ssh/id_rsa: Permission denied",
        "cat: /etc/shadow: No such file or directory",
        "PermissionError: [Errno 13] Permission denied: '/var/lib/secret'",
        "OSError: [Errno 30] Read-only file system: '/usr/lib/x'",
        "Error: EACCES: permission denied, open '/home/me/.aws/credentials'",
        "panic: open /root/x: permission denied",
        'Error: Os { code: 13, kind: PermissionDenied, message: "Permission denied" } for "/srv/data"',
        "java.io.FileNotFoundException: /root/x (Permission denied)",
        "touch: cannot touch '/tmp/../usr/x': Read-only file system",
        "sh: 1: cannot create /dev/sda: Read-only file system",
    ],
)
@pytest.mark.parametrize("failed", [True, False])
def test_a_path_that_is_not_its_own_is_told_whatever_the_exit_status(line: str, failed: bool):
    assert told(f"before\n{line}\nafterwards\n", failed=failed) == ("path", 1, line)


@pytest.mark.parametrize(
    "line",
    [
        "sh: 1: ./script: Permission denied (in /workspace/script)",
        "cat: /workspace/missing: No such file or directory",
        "cat: /tmp/missing: No such file or directory",
        "/usr/bin/env: 'pyhton': No such file or directory",
        "cat: /usr/share/missing: No such file or directory",
        "cp: cannot stat 'missing': No such file or directory",
        "chown: changing ownership of '/workspace/mine': Operation not permitted",
        "see https://example.org/permission for what is said",
        "Traceback: File /root/x.py, line 3",
    ],
)
def test_what_is_missing_or_closed_among_its_own_files_is_no_refusal(line: str):
    assert told(f"{line}\n") is None


def test_without_a_path_the_last_words_of_a_command_that_failed_are_believed():
    assert told("sh: 1: ./script: Permission denied\n") == ("path", 1, "sh: 1: ./script: Permission denied")
    assert told("unshare: unshare failed: Operation not permitted") == (
        *("call", 1),
        "unshare: unshare failed: Operation not permitted",
    )
    assert told("unshare: unshare failed: Operation not permitted\n", failed=False) is None
    assert told("Permission denied\nand then something else\n") is None


def test_pieces_make_lines_and_every_line_is_counted():
    assert told("cat: /ro", "ot/a: Permission de", "nied\ncat: /root/b: Permission denied\n") == (
        *("path", 2),
        "cat: /root/a: Permission denied",
    )


def test_directories_that_the_operator_shows_may_lack_a_file():
    line = "cat: /data/missing: No such file or directory\n"
    assert told(line, paths=("/data",)) is None
    assert told(line) == ("path", 1, line.strip())
    assert told("sh: cannot create /data/x: Read-only file system\n", paths=("/data",)) is not None


def test_a_line_without_an_end_is_not_waited_for():
    refusals = Refusals(())
    for _ in range(100):
        refusals.hear("x" * LINE_MAX)
        assert len(refusals._begun) <= LINE_MAX
