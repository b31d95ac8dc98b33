"""The tool `files`: what it reads and writes, and that it stays where it belongs."""

import os
import stat

import pytest
from msgspec.structs import replace

from runwright.agents.tools.port import Fault, Said, Scene
from runwright.sandbox.means import Means
from tests.agents.tools.bench import BOUNDS, Bench


async def test_what_is_written_is_read_and_is_a_command_s_as_well(bench: Bench):
    written = await bench.said("files", action="write", path="notes/größe.txt", content="eins\nzwei\n")
    assert written == {"bytes": 10, "created": True}
    assert await bench.said("files", action="read", path="/workspace/notes/größe.txt") == {
        "content": "eins\nzwei\n",
        "from_line": 1,
        "total_lines": 2,
    }
    assert await bench.sh("echo drei >> notes/größe.txt; cat notes/größe.txt; mkdir notes/more") == "eins\nzwei\ndrei\n"
    again = await bench.said("files", action="write", path="notes/größe.txt", content="")
    assert again == {"bytes": 0, "created": False}


async def test_some_lines_of_a_file_are_read(bench: Bench):
    await bench.sh("seq 1 1000 > numbers; printf 'a\\nb' > open")
    read = await bench.said("files", action="read", path="numbers", from_line=998, lines=2)
    assert read == {"content": "998\n999\n", "from_line": 998, "total_lines": 1000}
    assert (await bench.said("files", action="read", path="numbers", from_line=1000))["content"] == "1000\n"
    assert (await bench.said("files", action="read", path="numbers", from_line=2000))["content"] == ""
    assert (await bench.said("files", action="read", path="open"))["content"] == "a\nb"


async def test_a_long_file_is_cut_and_says_so(means: Means):
    async with Bench(means, bounds=replace(BOUNDS, output_max_bytes=1000)) as bench:
        await bench.said("files", action="write", path="long", content="ä" * 5000)
        result = await bench.result("files", action="read", path="long")
        assert isinstance(result, Said)
        assert (result.truncated, result.value["content"]) == (True, "ä" * 500)


async def test_a_directory_is_listed_with_what_each_is(bench: Bench):
    await bench.sh("mkdir d; echo x > f; cp f p; chmod +x p; ln -s f l; touch d/inner")
    listed = (await bench.said("files", action="list"))["entries"]
    assert listed == [
        {"name": "d", "kind": "directory"},
        {"name": "f", "kind": "file", "bytes": 2},
        {"name": "l", "kind": "link", "to": "f"},
        {"name": "p", "kind": "program", "bytes": 2},
    ]
    assert await bench.said("files", action="list", path="d") == {
        "entries": [{"name": "inner", "kind": "file", "bytes": 0}]
    }


async def test_a_directory_of_very_many_files_is_listed_in_part(bench: Bench):
    await bench.sh("mkdir d; cd d; seq 1 1001 | xargs touch")
    result = await bench.result("files", action="list", path="d")
    assert isinstance(result, Said)
    assert (len(result.value["entries"]), result.truncated) == (1000, True)


async def test_a_text_is_replaced_where_it_is_once_or_wherever_it_is(bench: Bench):
    await bench.sh("printf 'one two two\\r\\n' > f; chmod +x f")
    edit = {"action": "edit", "path": "f"}
    assert (await bench.refused("files", **edit, old="three", new="x"))[0] == "files.no_match"
    assert (await bench.refused("files", **edit, old="two", new="x"))[0] == "files.ambiguous"
    assert await bench.said("files", **edit, old="one ", new="") == {"replaced": 1}
    assert await bench.said("files", **edit, old="two", new="2", all=True) == {"replaced": 2}
    assert await bench.sh("test -x f && od -c f | head -1") == "0000000   2       2  \\r  \\n\n"


OUTSIDE = ["../x", "a/../../x", "/etc/passwd", "/workspace/../etc/passwd", "/workspacex", "x/" * 101 + "x", "a\0b"]


@pytest.mark.parametrize("path", OUTSIDE, ids=["up", "up later", "absolute", "root", "beside", "deep", "nul"])
async def test_no_path_leads_out(bench: Bench, path: str):
    for action, content in (("read", {}), ("write", {"content": "x"}), ("list", {})):
        assert (await bench.refused("files", action=action, path=path, **content))[0] == "files.refused"


async def test_no_link_leads_out(bench: Bench, means: Means, open_directory):
    outside = open_directory / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s3cret")
    await bench.workspace.open()
    scene = Scene(run_id="run_1", tool_call_id="call_1", workspace=bench.workspace)
    (bench.workspace.files.root / "up").symlink_to(outside)
    (bench.workspace.files.root / "file").symlink_to(outside / "secret")
    for action, path in (("read", "up/a"), ("read", "file"), ("list", "up"), ("write", "up/new"), ("write", "file")):
        content = {"content": "x"} if action == "write" else {}
        result = await bench.toolbox.tools["files"].call(
            bench.ready("files", action=action, path=path, **content), scene
        )
        assert isinstance(result, Fault), (action, path, result)
        assert (result.code, "is a link to" in result.message) == ("files.refused", True), (action, path, result)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "s3cret"


async def test_what_is_no_text_or_no_file_is_not_read(bench: Bench):
    await bench.sh("head -c 100 /dev/zero > zeros; printf '\\377\\376' > bytes; mkdir d")
    assert await bench.refused("files", action="read", path="zeros") == (
        "files.binary",
        "zeros is no text (UTF-8), of 100 bytes",
    )
    assert (await bench.refused("files", action="read", path="bytes"))[0] == "files.binary"
    assert await bench.refused("files", action="read", path="d") == ("files.refused", "d is a directory")
    assert (await bench.refused("files", action="read", path=""))[0] == "files.refused"
    assert (await bench.refused("files", action="read", path="nothing"))[0] == "files.not_found"
    assert (await bench.refused("files", action="write", path="zeros/x", content=""))[0] == "files.refused"
    assert (await bench.refused("files", action="write", path="d", content=""))[0] == "files.refused"


async def test_a_pipe_does_not_hold_the_reader(bench: Bench):
    await bench.workspace.open()
    os.mkfifo(bench.workspace.files.root / "pipe")
    assert await bench.refused("files", action="read", path="pipe") == (
        "files.refused",
        "pipe is no ordinary file or directory",
    )


async def test_a_huge_file_is_not_read_whole(bench: Bench):
    await bench.workspace.open()
    path = bench.workspace.files.root / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o644)
    assert stat.S_ISREG(path.stat().st_mode)
    assert (await bench.refused("files", action="read", path="huge"))[0] == "files.too_large"
