"""The two files of a data directory that nobody but their owner may read: the master key, and the credentials."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
from pathlib import Path

import msgspec

from runwright.errors import InvalidSettings, StoreError, StoreReadOnly

MASTER_KEY = "master.key"
CREDENTIALS = "credentials.json"
KEY_BYTES = 32


class Credentials(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a command line on the same machine reads: where the server is, and a key that it takes."""

    url: str | None = None
    api_key: str | None = None


def parse_master_key(text: str) -> bytes:
    """Read a master key: 32 bytes as 64 hex digits or as base64. Raises `InvalidSettings`."""
    text = text.strip()
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text)
        if len(key) == KEY_BYTES:
            return key
    with contextlib.suppress(ValueError, binascii.Error):
        key = base64.b64decode(text.translate(_STANDARD) + "=" * (-len(text) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise InvalidSettings.at(
        "RUNWRIGHT_MASTER_KEY", "must be 32 bytes as hex or base64; `openssl rand -hex 32` makes one"
    )


_STANDARD = str.maketrans("-_", "+/")


def read_master_key(data_dir: Path) -> bytes | None:
    """Return the master key of a data directory, or None where there is none yet."""
    path = data_dir / MASTER_KEY
    try:
        return parse_master_key(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except OSError as broken:
        raise StoreError(f"the master key {path} cannot be read: {broken.strerror}") from broken
    except (InvalidSettings, UnicodeDecodeError) as broken:
        raise StoreError(
            f"{path} does not hold a master key (64 hex digits); restore it from a backup",
            code="keyring.wrong_master_key",
        ) from broken


def make_master_key(data_dir: Path) -> bytes:
    """Make a master key, durable in the data directory before anything is wrapped with it, and return it."""
    key = secrets.token_bytes(KEY_BYTES)
    _write(data_dir / MASTER_KEY, f"{key.hex()}\n".encode("ascii"))
    return key


def read_credentials(data_dir: Path) -> str | None:
    """Return the API key that `credentials.json` holds, or None where there is none to read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode((data_dir / CREDENTIALS).read_bytes(), type=Credentials).api_key
    return None


def write_credentials(data_dir: Path, url: str | None, api_key: str | None) -> None:
    """Write `credentials.json` whole or not at all; without `api_key` the one that is in the file stays.

    Where there is no key to write, nothing is written.
    """
    path = data_dir / CREDENTIALS
    if api_key is None:
        api_key = read_credentials(data_dir)
    if api_key is not None:
        _write(path, msgspec.json.format(msgspec.json.encode(Credentials(url, api_key))) + b"\n")


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as broken:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise StoreReadOnly(f"{path} cannot be written: {broken.strerror}") from broken
