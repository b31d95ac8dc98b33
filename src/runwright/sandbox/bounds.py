"""The limits of processes that are no preset's; the settings `process_*` give them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runwright.config import Settings


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of this machine may do, at most, and where its workspace lies."""

    directory: Path
    paths: tuple[str, ...] = ()
    network: bool = False
    pids_max: int = 128
    files_max: int = 1024
    output_max_bytes: int = 16 << 20
    workspace_max_bytes: int = 1 << 30
    value_max_bytes: int = 1 << 20
    sample_s: float = 0.1

    @property
    def missing_path(self) -> str | None:
        """Return the first of the paths that is no directory here, if there is one."""
        return next((path for path in self.paths if not Path(path).is_dir()), None)

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds that the settings say."""
        return cls(
            directory=settings.process_dir,
            paths=settings.process_paths,
            network=settings.process_network,
            pids_max=settings.process_pids_max,
            files_max=settings.process_files_max,
            output_max_bytes=settings.process_output_max_bytes,
            workspace_max_bytes=settings.process_workspace_max_bytes,
            value_max_bytes=settings.process_value_max_bytes,
            sample_s=settings.process_sample_ms / 1000,
        )
