"""A server whose artifacts lie in a bucket, on both databases: kept, checked, backed up, moved in and out, tried."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from runwright import config, upkeep
from runwright.cli.main import main
from runwright.errors import InvalidSettings, StoreError
from runwright.upkeep import Finding
from tests.api.served import Served, ok, serving
from tests.postgres import empty_database, new_database
from tests.store.buckets import KEY, S3, SECRET, s3

MASTER = "c" * 64
NAMES = (f"artifacts-{number}" for number in count())
DATA = b"uploaded bytes " * 5000


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3]:
    with s3() as running:
        yield running


@pytest.fixture
def there(s3_server: S3) -> dict[str, Any]:
    """Return the settings that lead to an empty bucket."""
    name = next(NAMES)
    s3_server.make(name)
    return {
        "s3_bucket": name,
        "s3_prefix": "runwright/",
        "s3_endpoint": s3_server.url,
        "s3_access_key_id": KEY,
        "s3_secret_access_key": SECRET,
        "s3_retries": 1,
        "s3_retry_s": 1.0,
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def beside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Return the settings that lead to an empty database."""
    own = {"data_dir": tmp_path / "data", "master_key": MASTER}
    if request.param == "sqlite":
        yield own
        return
    with new_database() as url:
        yield own | {"database_url": url}


@contextlib.asynccontextmanager
async def server(settings: dict[str, Any]) -> AsyncIterator[Served]:
    rest = {name: value for name, value in settings.items() if name != "data_dir"}
    async with serving(settings["data_dir"], api_key="rw_" + "k" * 40, **rest) as served:
        yield served


async def upload(served: Served, data: bytes = DATA) -> str:
    return str((await ok(served.admin.post("/v1/artifacts", content=data), 201))["digest"])


async def download(served: Served, digest: str) -> bytes:
    answer = await served.admin.get(f"/v1/artifacts/{digest}")
    assert answer.status_code == 200, answer.text
    return answer.content


def of(settings: dict[str, Any]) -> config.Settings:
    return config.load({}, overrides=settings)


def still(*told: Any) -> None:
    """Tell nobody how far it is."""


def files(settings: dict[str, Any]) -> list[Path]:
    return [path for path in (settings["data_dir"] / "artifacts").rglob("*") if path.is_file()]


async def test_artifacts_lie_in_the_bucket_and_are_checked_there(s3_server: S3, there: Any, beside: Any):
    async with server(beside | there) as served:
        digest = await upload(served)
        assert await download(served, digest) == DATA
        part = await served.admin.get(f"/v1/artifacts/{digest}", headers={"range": "bytes=15-29"})
        assert (part.status_code, part.content) == (206, DATA[15:30])
    (key,) = s3_server.keys(there["s3_bucket"])
    assert key.startswith(f"runwright/{digest[:2]}/{digest[2:]}/")
    assert files(beside) == []
    assert await upkeep.check(of(beside | there), still) == []
    s3_server.replace(there["s3_bucket"], key, DATA + b"more")
    (found,) = await upkeep.check(of(beside | there), still)
    assert (found.where, found.what) == ("artifact", digest)
    s3_server.client.delete_object(Bucket=there["s3_bucket"], Key=key)
    assert await upkeep.check(of(beside | there), still) == [Finding("artifact", digest, "is missing")]


async def test_a_bucket_that_does_not_answer_is_one_finding_and_not_one_for_each_artifact(there: Any, beside: Any):
    async with server(beside | there) as served:
        for number in range(5):
            await upload(served, b"%d" % number)
    gone = there | {"s3_endpoint": "http://127.0.0.1:1", "s3_retries": 0}
    found = await upkeep.check(of(beside | gone), still)
    assert [each.where for each in found] == ["artifact", "artifact", "artifacts"]
    assert "does not answer" in found[-1].how


async def test_artifacts_are_copied_into_the_bucket_and_back(s3_server: S3, there: Any, beside: Any):
    async with server(beside) as served:
        digest = await upload(served)
    assert await upkeep.copy_artifacts(of(beside | there), still, to_bucket=True) == 1
    assert await upkeep.copy_artifacts(of(beside | there), still, to_bucket=True) == 1, "once more does no harm"
    async with server(beside | there) as served:
        assert await download(served, digest) == DATA
        later = await upload(served, b"put since")
    assert [each.how for each in await upkeep.check(of(beside), still)] == ["is missing"], "what was put since"
    assert await upkeep.copy_artifacts(of(beside | there), still, to_bucket=False) == 2
    async with server(beside) as served:
        assert (await download(served, digest), await download(served, later)) == (DATA, b"put since")
    assert await upkeep.check(of(beside), still) == []


async def test_without_a_bucket_nothing_is_copied(beside: Any):
    with pytest.raises(StoreError, match="RUNWRIGHT_S3_BUCKET"):
        await upkeep.copy_artifacts(of(beside), still, to_bucket=True)


async def test_a_backup_has_the_artifacts_of_the_bucket_in_it(s3_server: S3, there: Any, tmp_path: Path):
    own = {"data_dir": tmp_path / "data", "master_key": MASTER}
    async with server(own | there) as served:
        digest = await upload(served)
        manifest = await asyncio.to_thread(upkeep.backup, of(own | there), tmp_path / "copy", still)
    assert (manifest.artifacts, manifest.artifact_bytes) == (1, len(DATA))
    for key in s3_server.keys(there["s3_bucket"]):
        s3_server.client.delete_object(Bucket=there["s3_bucket"], Key=key)
    copy = {"data_dir": tmp_path / "copy", "master_key": MASTER}
    assert await upkeep.check(of(copy | there), still) == [], "a backup is whole by itself"
    restored = {"data_dir": tmp_path / "restored", "master_key": MASTER}
    assert await upkeep.restore(of(restored | there), tmp_path / "copy", still) == []
    assert await upkeep.copy_artifacts(of(restored | there), still, to_bucket=True) == 1
    async with server(restored | there) as served:
        assert await download(served, digest) == DATA


async def test_a_move_to_postgresql_leaves_artifacts_in_their_bucket(s3_server: S3, there: Any, tmp_path: Path):
    own = {"data_dir": tmp_path / "data", "master_key": MASTER}
    async with server(own | there) as served:
        digest = await upload(served)
    keys = s3_server.keys(there["s3_bucket"])
    with empty_database() as url:
        moved, found = await upkeep.move(of(own | there), url, still)
        assert (found, moved.artifacts) == ([], 1)
        assert s3_server.keys(there["s3_bucket"]) == keys
        async with server(own | there | {"database_url": url}) as served:
            assert await download(served, digest) == DATA


def test_doctor_tries_the_bucket(
    there: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RUNWRIGHT_DATA_DIR", str(tmp_path))
    for name, value in there.items():
        monkeypatch.setenv(f"RUNWRIGHT_{name.upper()}", str(value))
    main(["doctor", "--json"])
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert (found["artifacts"]["level"], there["s3_bucket"] in found["artifacts"]["finding"]) == ("ok", True)
    monkeypatch.setenv("RUNWRIGHT_S3_BUCKET", "nobodys")
    main(["doctor", "--json"])
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["artifacts"]["level"] == "fail"
    assert "create it" in found["artifacts"]["finding"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"s3_endpoint": "http://s3.test"}, "s3_endpoint"),
        ({"s3_bucket": "mine", "s3_access_key_id": "only"}, "s3_access_key_id"),
        ({"s3_bucket": "mine", "s3_kms_key_id": "key"}, "s3_kms_key_id"),
        ({"s3_bucket": "mine", "s3_ca_file": "/no/such/file"}, "s3_ca_file"),
    ],
)
async def test_settings_of_a_bucket_that_mean_nothing_are_refused(tmp_path: Path, wrong: dict[str, Any], field: str):
    with pytest.raises(InvalidSettings, match=field):
        async with serving(tmp_path / "data", **wrong):
            raise AssertionError("it must not start")


async def test_without_its_extra_a_bucket_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "runwright.store.bucket", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InvalidSettings, match="extra `s3`"):
        async with serving(tmp_path / "data", s3_bucket="mine"):
            raise AssertionError("it must not start")
