"""What the API answers about who may do what, and about itself."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class Key(Record, kw_only=True):
    """An API key; its `token` is only there in the answer that made it."""

    id: str
    name: str | None = None
    prefix: str | None = None
    token: str | None = None
    scopes: list[str] = msgspec.field(default_factory=list)
    org_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    service: bool = False
    rotated_to: str | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Organization(Record, kw_only=True):
    """An organization; the `token` of its first admin key is only there in the answer that made it."""

    id: str
    name: str | None = None
    slug: str | None = None
    token: str | None = None
    created_at: datetime | None = None


class Project(Record, kw_only=True):
    """A project of an organization."""

    id: str
    name: str | None = None
    slug: str | None = None
    org_id: str | None = None
    weight: float = 1.0
    max_concurrency: int | None = None
    retention_days: float | None = None
    created_at: datetime | None = None


class User(Record, kw_only=True):
    """A user of an organization."""

    id: str
    name: str | None = None
    email: str | None = None
    org_id: str | None = None
    enabled: bool = True
    subject: str | None = None
    created_at: datetime | None = None


class Member(Record, kw_only=True):
    """A user's role in a project, or in the whole organization where `project_id` is None."""

    id: str
    org_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    role: str = ""
    scopes: list[str] = msgspec.field(default_factory=list)
    created_at: datetime | None = None
    created_by: str | None = None


class Ticket(Record, kw_only=True):
    """What a browser gives as `?ticket=` in a GET of `path`; it must be used until `expires_at`."""

    ticket: str
    path: str = ""
    expires_at: datetime | None = None


class Me(Record, kw_only=True):
    """Who the caller is, and what it may do; `project` is the one that its key is bound to."""

    scopes: list[str] = msgspec.field(default_factory=list)
    kind: str | None = None
    actor: str | None = None
    organization: Organization | None = None
    project: Project | None = None
    user: User | None = None
    key: Key | None = None
    role: str | None = None
    memberships: list[Member] = msgspec.field(default_factory=list)
    expires_at: datetime | None = None


class WorkerElsewhere(Record, kw_only=True):
    """A worker elsewhere: what it takes, how many leases it holds (`busy`), and when it last spoke.

    `status` is active, draining, lost or gone.
    """

    id: str
    name: str = ""
    status: str = ""
    project_id: str | None = None
    version: str = ""
    sdk: str = ""
    queues: list[str] = msgspec.field(default_factory=list)
    jobs: list[str] = msgspec.field(default_factory=list)
    processes: bool = False
    slots: int = 0
    busy: int = 0
    started_at: datetime | None = None
    seen_at: datetime | None = None
    drain_requested_at: datetime | None = None
    gone_at: datetime | None = None


class Queue(Record, kw_only=True):
    """A queue that holds `ready` runs (at least so many, if `capped`), or is paused."""

    name: str
    ready: int = 0
    capped: bool = False
    paused: bool = False
    paused_at: datetime | None = None
    paused_by: str | None = None


class AuditEntry(Record, kw_only=True):
    """An entry of the audit log: who did what to what."""

    id: str
    number: int
    actor: str = ""
    action: str = ""
    target: str = ""
    data: Any = None
    data_digest: str = ""
    org_id: str = ""
    prev_hash: str | None = None
    hash: str = ""
    created_at: datetime | None = None


class AuditVerdict(Record, kw_only=True):
    """What the verification of an audit log found; `first_break` names the first entry that is not as it was."""

    whole: bool
    verified: int = 0
    org_id: str = ""
    head: dict[str, Any] | None = None
    first_break: dict[str, Any] | None = None


class Health(Record, kw_only=True):
    """What a server says of itself."""

    status: str = ""
    version: str | None = None


class Stats(Record, kw_only=True):
    """What became of runs between two instants, and how many are live now; `latency` in ms by part and quantile."""

    ended: int
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    dead_lettered: int = 0
    retries: int = 0
    throughput_per_s: float = 0.0
    failure_rate: float | None = None
    org_id: str = ""
    project_id: str | None = None
    job_id: str | None = None
    window: str = ""
    grain: str = ""
    cost_usd: float = 0.0
    depth: dict[str, int] | None = None
    latency: dict[str, dict[str, float | None]] | None = None
    ends: list[dict[str, Any]] | None = None
    series: list[dict[str, Any]] | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None


class WebhookSubscription(Record, kw_only=True):
    """An address that is told of events of runs; its `signing_secret` is only there in the answer that made it."""

    id: str
    subscription_id: str = ""
    org_id: str | None = None
    project_id: str | None = None
    url: str = ""
    event_types: list[str] = msgspec.field(default_factory=list)
    description: str = ""
    enabled: bool = True
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    signing_secret: str | None = None


class RotatedWebhookSecret(Record, kw_only=True):
    """A new signing secret, shown this once, and until when the one before it signs too."""

    subscription_id: str = ""
    signing_secret: str | None = None
    previous_expires_at: datetime | None = None


class WebhookDelivery(Record, kw_only=True):
    """A message for one address, and how far it came."""

    id: str
    delivery_id: str = ""
    org_id: str | None = None
    project_id: str | None = None
    subscription_id: str | None = None
    job_id: str | None = None
    webhook_id: str = ""
    event_type: str = ""
    run_id: str | None = None
    status: str = ""
    attempt: int = 0
    response_status: int | None = None
    error: str | None = None
    created_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    finished_at: datetime | None = None


class Environment(Record, kw_only=True):
    """A named set of variables, and of the secrets that belong to it."""

    id: str
    environment_id: str = ""
    org_id: str | None = None
    project_id: str | None = None
    name: str = ""
    description: str = ""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None


class Secret(Record, kw_only=True):
    """What is known of a secret but its value."""

    id: str
    secret_id: str = ""
    org_id: str | None = None
    project_id: str | None = None
    environment_id: str | None = None
    name: str = ""
    version: int = 0
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
