"""What the API answers about many runs at once, and about what a run is about to do."""

from datetime import datetime

import msgspec

from runwright.client.models import Record, Run


class CancelResult(msgspec.Struct, kw_only=True):
    """What became of one run: the word that it shows now, and why it was not cancelled if it was not."""

    id: str
    status: str = ""
    error: str | None = None
    code: str | None = None


class BulkCancelled(Record, kw_only=True):
    """What became of each run, in the order asked for; `more` says that runs are left that the filters hold."""

    results: list[CancelResult]
    total: int = 0
    canceled: int = 0
    failed: int = 0
    more: bool = False
    dry_run: bool = False


class Problem(msgspec.Struct, kw_only=True):
    """Why one run was left out."""

    id: str
    error: str = ""
    code: str = ""


class DeadLettersReplayed(Record, kw_only=True):
    """The new runs, and why others were left out."""

    replayed: list[Run]
    count: int = 0
    errors: list[Problem] = msgspec.field(default_factory=list)


class BatchResult(msgspec.Struct, kw_only=True):
    """What became of one item: the run it was about, the run that a replay made of it, or why nothing was done."""

    id: str | None = None
    status: str | None = None
    new_run_id: str | None = None
    error: str | None = None
    code: str | None = None


class BatchOperation(Record, kw_only=True):
    """One bulk verb; `results` are None in a list. Without `finished_at` it is at work, or its server was lost."""

    id: str
    verb: str = ""
    project_id: str | None = None
    job_id: str | None = None
    item_count: int = 0
    created_count: int = 0
    created_by: str = ""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    results: list[BatchResult] | None = None


class DebugMode(Record, kw_only=True):
    """Whether the attempts to come are recorded."""

    run_id: str
    debug_mode: bool = False


class FreedKey(Record, kw_only=True):
    """`reset`: the key is free; `unset`: the run held none any more."""

    run_id: str
    status: str = ""
