"""The limits of what tools do; the settings `agent_*` give them."""

from __future__ import annotations

import msgspec

from runwright.config import Settings, archive_max_bytes
from runwright.sandbox.snapshot import Limits


class ToolBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of one run may do, at most."""

    parallel: int = 8
    output_max_bytes: int = 1 << 20
    preview_bytes: int = 16_384
    memory_bytes: int = 512 << 20
    cpus: int = 1
    tree: Limits = Limits(10_000, 32 << 20)
    archive_max_bytes: int = 47 << 20
    http_private: bool = False
    http_connections: int = 100

    @classmethod
    def of(cls, settings: Settings) -> ToolBounds:
        """Return the bounds that the settings say."""
        return cls(
            parallel=settings.agent_tools_parallel,
            output_max_bytes=settings.agent_tool_output_max_bytes,
            preview_bytes=settings.agent_tool_preview_bytes,
            memory_bytes=settings.agent_tool_memory_mb << 20,
            cpus=settings.agent_tool_cpus,
            tree=Limits(settings.agent_workspace_max_files, settings.agent_workspace_max_bytes),
            archive_max_bytes=archive_max_bytes(settings.artifact_max_bytes),
            http_private=settings.agent_http_private,
            http_connections=settings.agent_http_connections,
        )
