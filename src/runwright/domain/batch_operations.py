"""What was done to many runs by one request, and what became of each."""

from __future__ import annotations

import msgspec


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: the run it was about or that it made, and the code and message of a refusal.

    `status` is the word that the run shows afterwards; `made` is the run that a replay made of it, `hit` says that
    its idempotency key had made it before.
    """

    id: str | None = None
    status: str | None = None
    made: str | None = None
    hit: bool = False
    error: str | None = None
    code: str | None = None

    @property
    def refused(self) -> bool:
        """Tell whether it was not done."""
        return self.code is not None


class BatchOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One bulk verb at work. `project_id` and `job_id` are None where the runs have several.

    `created_count` counts what was done; without `finished_at` it goes on, or its server was lost over it. `results`
    are the JSON of what became of the items.
    """

    batch_id: str
    org_id: str
    project_id: str | None
    job_id: str | None
    verb: str
    item_count: int
    created_count: int
    created_by: str
    created_at: int
    finished_at: int | None
    results: bytes

    def told(self, results: list[BatchResult], finished_at: int | None) -> BatchOperation:
        """Return it with what became of its items so far."""
        done = sum(not (result.refused or result.hit) for result in results)
        encoded = msgspec.json.encode(results)
        return msgspec.structs.replace(self, created_count=done, results=encoded, finished_at=finished_at)
