"""Large values by their digest: whole or not there, and never another than was stored."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge
from runwright.store.artifacts import FileArtifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> FileArtifacts:
    return FileArtifacts(tmp_path / "artifacts", 1000, FrozenClock())


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=1000))
async def test_bytes_come_back_by_their_digest(artifacts: FileArtifacts, data: bytes):
    digest = await artifacts.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await artifacts.get(digest) == data


async def test_the_same_bytes_are_stored_once(artifacts: FileArtifacts, tmp_path: Path):
    assert await artifacts.put(b"same") == await artifacts.put(b"same")
    assert len(files(tmp_path)) == 1


async def test_what_is_too_large_is_refused_and_leaves_nothing(artifacts: FileArtifacts, tmp_path: Path):
    with pytest.raises(TooLarge):
        await artifacts.put(bytes(1001))
    await artifacts.put(bytes(1000))
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("changed", [b"", b"othes", b"others!", b"other" * 100])
async def test_an_artifact_that_was_changed_on_disk_is_found_out(
    artifacts: FileArtifacts, tmp_path: Path, changed: bytes
):
    digest = await artifacts.put(b"others")
    files(tmp_path)[0].write_bytes(changed)
    with pytest.raises(StoreError, match=digest) as caught:
        await artifacts.get(digest)
    assert type(caught.value) is StoreError


@pytest.mark.parametrize("digest", ["", "0" * 64, "0" * 63, "A" * 64, "../../etc/passwd", "0" * 62 + "/.", "zz" * 32])
async def test_what_was_never_stored_is_not_found(artifacts: FileArtifacts, digest: str):
    await artifacts.put(b"something else")
    with pytest.raises(NotFound):
        await artifacts.get(digest)


async def test_removed_artifacts_are_gone_and_others_stay(artifacts: FileArtifacts):
    one, other = await artifacts.put(b"one"), await artifacts.put(b"other")
    await artifacts.remove([one, "0" * 64])
    with pytest.raises(NotFound):
        await artifacts.get(one)
    assert await artifacts.get(other) == b"other"
    assert await artifacts.put(b"one") == one
    assert await artifacts.get(one) == b"one"


async def test_a_write_that_breaks_leaves_no_half_artifact(artifacts: FileArtifacts, tmp_path: Path):
    digest = hashlib.sha256(b"broken").hexdigest()
    in_the_way = tmp_path / "artifacts" / digest[:2]
    in_the_way.parent.mkdir()
    in_the_way.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable):
        await artifacts.put(b"broken")
    assert files(tmp_path) == [in_the_way]
    with pytest.raises((NotFound, StoreUnavailable)):
        await artifacts.get(digest)
    in_the_way.unlink()
    assert await artifacts.put(b"broken") == digest
    assert await artifacts.get(digest) == b"broken"


async def test_what_a_killed_writer_left_beside_is_never_read_as_the_artifact(artifacts: FileArtifacts, tmp_path: Path):
    digest = hashlib.sha256(b"whole").hexdigest()
    folder = tmp_path / "artifacts" / digest[:2]
    folder.mkdir(parents=True)
    (folder / f"{digest[2:]}.abc123").write_bytes(b"who")
    with pytest.raises(NotFound):
        await artifacts.get(digest)
    assert await artifacts.put(b"whole") == digest
    assert await artifacts.get(digest) == b"whole"
