"""What the log says of the workspace of a run."""

from __future__ import annotations

import msgspec


class WorkspaceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the workspace held after a call, by the digests of its tree and of the archive that is kept."""

    archive_sha256: str
    tree_hash: str
    files: int
    bytes: int
