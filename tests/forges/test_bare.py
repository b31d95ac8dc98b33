"""A repository on this machine that takes branches."""

import subprocess
from pathlib import Path

import pytest

from runwright.domain.repository import Local
from runwright.forges import bare
from runwright.forges.bare import BareRepository
from runwright.forges.port import Refused


async def test_refs_that_cannot_all_be_read_are_none_that_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "site.git")], check=True)
    repository = BareRepository(Local(str(tmp_path), ("site.git",)))
    packed = tmp_path / "site.git" / "packed-refs"
    packed.write_text("".join(f"{number:040x} refs/heads/b{number}\n" for number in range(1, 20)))
    assert (await repository.refs()).oids["refs/heads/b19"] == f"{19:040x}"
    monkeypatch.setattr(bare, "SMALL_MAX", packed.stat().st_size - 1)
    with pytest.raises(Refused, match="packed-refs has more than"):
        await repository.refs()
