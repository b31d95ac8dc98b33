"""Whatever is done to a bundle is found, and what it was done to is named; what nobody touched verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from runwright.governance.verifier.verify import verify
from tests.governance.bundles import bundle, files_of, lived, run_verifier, signer


@pytest.mark.parametrize("profile", ["full", "auditor", "public"])
def test_a_bundle_that_nobody_touched_is_whole(tmp_path: Path, profile):
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(lived(), profile))
    report = verify(str(path))
    assert (report.problems, report.signer, report.code) == ([], signer().key_id, 3)
    report = verify(str(path), signer().key_id)
    assert (report.problems, report.pinned, report.code) == ([], True, 0)
    report = verify(str(path), signer(9).key_id)
    assert (report.problems, report.pinned, report.code) == ([], False, 1)


def test_the_copy_in_the_bundle_needs_nothing_but_python(tmp_path: Path):
    path, script = tmp_path / "b.zip", tmp_path / "verify.py"
    path.write_bytes(bundle(lived()))
    script.write_bytes(files_of(path.read_bytes())["verify.py"])
    done = run_verifier(script, path)
    assert (done.returncode, done.stderr) == (3, ""), done
    assert "not pinned" in done.stdout
    done = run_verifier(script, path, "--key", signer().key_id)
    assert (done.returncode, done.stderr) == (0, ""), done
