"""The peers' environments: built by uv from a committed lock, kept by the lock's digest, apart from ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
BUILD_PATIENCE_S = 240


def environment(lock: str) -> Path:
    """Return the Python of the environment of a lock (`queues`, `arq`), built if it is not there yet.

    Raises `RuntimeError` with uv's own words when it cannot be built.
    """
    locked = HERE / f"{lock}.txt"
    digest = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = platformdirs.user_cache_path("runwright-bench") / f"{lock}-{digest}"
    python = place / "bin" / "python"
    if not (place / "built").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(place))
        _uv("pip", "install", "--quiet", "--python", str(python), "--requirement", str(locked))
        (place / "built").touch()
    return python


def _uv(*words: str) -> None:
    ended = subprocess.run(
        [_uv_path(), *words], check=False, capture_output=True, text=True, timeout=BUILD_PATIENCE_S, env=_plain()
    )
    if ended.returncode:
        raise RuntimeError(f"uv {words[0]}: {ended.stderr.strip()[-300:]}")


def _uv_path() -> str:
    own = REPOSITORY / ".uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    if found is None:
        raise RuntimeError("uv is not installed; `make setup` brings it")
    return found


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


def versions(python: Path, packages: tuple[str, ...]) -> str:
    """Return the versions of packages in an environment, in the order asked."""
    code = "import sys, importlib.metadata as m; print(' + '.join(m.version(p) for p in sys.argv[1:]))"
    ended = subprocess.run([python, "-c", code, *packages], check=True, capture_output=True, text=True)
    return ended.stdout.strip()
