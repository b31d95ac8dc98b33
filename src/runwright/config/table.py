"""The one table of settings: every limit and interval by name, with its type, default, range and what it does."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import platformdirs

from runwright.config.execution import ExecutionSettings
from runwright.config.setting import MIB, Setting
from runwright.config.setting import setting as _setting


def _data_dir() -> Path:
    return platformdirs.user_data_path("runwright")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ExecutionSettings):
    """Hold the checked settings of one process; nothing changes them afterwards."""

    # --- where it lives
    data_dir: Path = _setting(  # noqa: RUF009 - a `dataclasses.field`
        _data_dir, "Directory of the database, artifacts and keys", shown="the user's data directory"
    )
    database_url: str | None = _setting(
        None,
        "PostgreSQL that holds everything, for any number of servers; without it, SQLite in the data directory",
        1,
        2000,
        pattern=r"postgres(?:ql)?://\S+",
        secret=True,
    )
    database_pool_max: int = _setting(10, "Connections of one server to PostgreSQL", 3, 1000)
    database_connect_s: float = _setting(10.0, "Longest time until PostgreSQL is connected", 0.05, 600)
    database_statement_s: float = _setting(10.0, "Longest time that a statement may take in PostgreSQL", 0.1, 3600)
    database_row_security: bool = _setting(
        False, "Whether PostgreSQL itself keeps organizations apart; `runwright db upgrade` switches it on"
    )
    migrate: bool = _setting(True, "Whether a server that starts applies pending migrations to its database")
    migrate_wait_s: float = _setting(
        60.0, "How long a server that may not migrate waits at its start for `runwright db upgrade`", 0, 86_400
    )
    database_listen_url: str | None = _setting(
        None,
        "The same PostgreSQL for the connection that hears other servers; needed behind a pooler of transactions",
        1,
        2000,
        pattern=r"postgres(?:ql)?://\S+",
        secret=True,
    )
    bus_interval_ms: float = _setting(10.0, "Least time between two hints to other servers", 1, 1000)
    bus_payload_max_bytes: int = _setting(7900, "Largest hint to other servers", 512, 7900)
    bus_payloads_max: int = _setting(4, "Hints to other servers at once; what is more becomes one: look", 1, 100)
    bus_poll_s: float = _setting(
        1.0, "Interval at which a server looks for what others did, also without a hint", 0.05, 60
    )
    host: str = _setting("127.0.0.1", "Address to listen on", 1, 255)
    port: int = _setting(8080, "Port to listen on; 0 picks a free one", 0, 65535)
    api_key: str | None = _setting(None, "Bootstrap admin key at first start", 16, 256, pattern=r"[!-~]+", secret=True)
    master_key: str | None = _setting(None, "Key that wraps all other keys", 32, 512, pattern=r"[!-~]+", secret=True)
    key_cache_s: float = _setting(5.0, "How long a checked API key is believed without looking again", 0, 300)
    worker: tuple[str, ...] = _setting(
        (), "Handlers to run in the server, as module:app", pattern=r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"
    )
    worker_queues: tuple[str, ...] = _setting(
        (), "Queues that the handlers in the server take from; none named: all", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"
    )
    # --- limits of callers
    rate_per_s: float = _setting(
        2000.0, "Requests a second of one key or login, at one server; 0 does not limit them", 0, 1_000_000
    )
    rate_burst: int = _setting(10_000, "Requests of one key or login at once", 1, 10_000_000)
    rates_max: int = _setting(100_000, "Keys, logins and addresses whose requests are counted", 1, 10_000_000)
    auth_failures_per_s: float = _setting(
        20.0, "Wrong credentials a second from one address, at one server; 0 does not limit them", 0, 1_000_000
    )
    auth_failures_burst: int = _setting(200, "Wrong credentials from one address at once", 1, 10_000_000)
    ticket_ttl_s: float = _setting(60.0, "How long a ticket is good until it is used, and after each cut", 1, 3600)
    tickets_max: int = _setting(100_000, "Valid tickets of everybody", 1, 10_000_000)
    tickets_per_key: int = _setting(1000, "Valid tickets of one key or login", 1, 10_000_000)
    # --- logins of an OIDC issuer
    oidc_issuer: str | None = _setting(None, "OIDC issuer whose JWTs are taken, exactly as it calls itself", 1, 500)
    oidc_audience: str | None = _setting(None, "Audience that its JWTs must be made for; needed with an issuer", 1, 500)
    oidc_jwks: str | None = _setting(
        None, "Address or file of the issuer's keys (JWKS); without it they are discovered", 1, 2000
    )
    oidc_name_claim: str = _setting("preferred_username", "Claim that names a user who is made on first sight", 1, 100)
    oidc_role_claim: str | None = _setting(None, "Claim with the groups or roles that `oidc_roles` speaks of", 1, 200)
    oidc_roles: tuple[str, ...] = _setting(
        (), "Roles for values of that claim, as value=role", pattern=r"[^=,\0]+=(?:viewer|operator|approver|admin)"
    )
    oidc_provision: bool = _setting(False, "Make a user on first sight, with the role that the claim suggests")
    oidc_organization: str = _setting("default", "Slug of the organization that such users are made in", 1, 128)
    oidc_leeway_s: float = _setting(30.0, "Difference between the issuer's clock and ours that is forgiven", 0, 300)
    oidc_token_max_bytes: int = _setting(8192, "Largest JWT", 256, 65_536)
    oidc_keys_s: float = _setting(
        3600.0, "How long the issuer's keys are believed without reading them again", 1, 86_400
    )
    oidc_refetch_s: float = _setting(30.0, "Least time between two looks for the issuer's keys", 0, 3600)
    oidc_timeout_s: float = _setting(5.0, "Longest time that the issuer may take to answer", 0.05, 60)
    oidc_document_max_bytes: int = _setting(262_144, "Largest answer of the issuer", 1024, 16 * MIB)
    # --- leases and the loops of the engine
    lease_s: float = _setting(30.0, "How long a claimed run is its worker's without a heartbeat", 0.1, 3600)
    heartbeat_s: float = _setting(10.0, "Interval of the workers' heartbeats; at most the lease", 0.02, 1200)
    reaper_s: float = _setting(5.0, "Interval of the look for lost leases", 0.02, 600)
    stop_grace_s: float = _setting(10.0, "Time of an attempt to obey a stop request before it is fenced off", 0, 3600)
    drain_s: float = _setting(30.0, "Time of requests, streams and attempts to end at shutdown", 0, 3600)
    slots: int = _setting(100, "Runs that the worker in the server executes at a time", 1, 100_000)
    remote_attempts_max: int = _setting(20_000, "Attempts elsewhere that the server keeps in mind", 1, 1_000_000)
    workers_kept_h: float = _setting(168.0, "Hours that a worker is listed after it was last seen", 0.01, 87_600)
    claim_wait_s: float = _setting(30.0, "Longest time that a worker's claim waits for work", 0, 300)
    claim_max: int = _setting(500, "Runs that a worker may claim, and report on, in one request", 1, 10_000)
    scheduler_batch: int = _setting(500, "Due runs moved in one transaction", 1, 10_000)
    dependency_poll_s: float = _setting(
        5.0, "Interval of the look at runs that wait for other jobs, beneath the hints of other servers", 0.02, 600
    )
    dependency_scan: int = _setting(
        10_000, "Newest runs of a job that are looked through for one that has ended", 1, 1_000_000
    )
    chain_depth_max: int = _setting(10, "Runs that start each other by their ends, one after the other", 1, 1000)
    workflow_poll_s: float = _setting(
        60.0, "Interval of the look for workflows that go on and of which nobody was told", 0.02, 3600
    )
    cron_poll_s: float = _setting(2.0, "Interval of the look for schedules that other servers have changed", 0.02, 600)
    cron_batch: int = _setting(100, "Schedules fired together", 1, 10_000)
    cron_catch_up_max: int = _setting(100, "Missed fires of one schedule that `catch_up: all` makes up for", 1, 10_000)
    cron_late_s: float = _setting(60.0, "How late a fire may be before it counts as missed", 1, 86_400)
    lineage_max: int = _setting(10, "Runs that continue each other in a row", 1, 1000)
    signals_kept_h: float = _setting(24.0, "Hours that an event which nobody waited for is kept", 0.01, 8760)
    signals_kept_max: int = _setting(1000, "Events of one key that are kept while nobody waits for them", 1, 100_000)
    signal_wakes_max: int = _setting(1000, "Runs that one event wakes, and jobs that it starts", 1, 10_000)
    inbox_batch: int = _setting(500, "Inbox commands applied in one transaction", 1, 10_000)
    outbox_s: float = _setting(1.0, "Interval of the look at the outbox: as old may statistics be", 0.02, 600)
    outbox_batch: int = _setting(500, "Outbox entries settled in one transaction", 1, 10_000)
    rollup_minutes_h: float = _setting(48.0, "Hours that statistics by minute are kept", 1, 8760)
    rollup_hours_days: float = _setting(400.0, "Days that statistics by hour are kept", 1, 36_500)
    kpi_days: float = _setting(800.0, "Days that what ended runs add to the KPIs is kept", 1, 36_500)
    kpi_groups_max: int = _setting(1000, "Groups of one KPI answer, those with most runs first", 1, 100_000)
    prune_s: float = _setting(60.0, "Interval of the pruner", 0.02, 86_400)
    prune_batch: int = _setting(500, "Finished runs whose records are removed in one transaction", 1, 10_000)
    erase_batch: int = _setting(500, "Events whose data are erased in one transaction", 1, 10_000)
    retention_days: float = _setting(
        0.0, "Days that the log and the values of finished runs are kept; 0 keeps them for ever", 0, 36_500
    )
    summary_retention_days: float = _setting(
        0.0,
        "Days that the summaries of finished runs are kept, at least retention_days; 0 keeps them for ever",
        0,
        36_500,
    )
    usage_retention_days: float = _setting(
        0.0, "Days that records of what models used are kept after their runs; 0 for ever, else at least 31", 0, 36_500
    )
    idempotency_ttl_h: float = _setting(24.0, "Hours that idempotency keys are kept", 0.01, 8760)
    # --- the commit and the emitter
    commit_batch_max: int = _setting(500, "Commands applied in one transaction", 1, 10_000)
    commit_backlog_max: int = _setting(20_000, "Commands waiting for the commit before requests get 503", 1, 10_000_000)
    emit_flush_ms: float = _setting(25.0, "Longest time that an event of an attempt waits for others", 0, 10_000)
    emit_flush_bytes: int = _setting(32_768, "Bytes of one attempt's events that are written at once", 1, 64 * MIB)
    emit_buffer_max_bytes: int = _setting(8 * MIB, "Unwritten bytes of an attempt before it must wait", 1, 1024 * MIB)
    value_inline_max_bytes: int = _setting(
        65_536, "Largest value kept in its row; larger ones become artifacts", 0, MIB
    )
    state_value_max_bytes: int = _setting(65_536, "Largest value of a run's state", 1, MIB)
    memory_value_max_bytes: int = _setting(MIB, "Largest value of a job's memory", 1, MIB)
    memory_keys_max: int = _setting(1000, "Keys of one job's memory", 1, 100_000)
    memory_max_bytes: int = _setting(10 * MIB, "All values of one job's memory together", 1, 1024 * MIB)
    schema_max_bytes: int = _setting(65_536, "Largest JSON Schema of a job", 64, MIB)
    artifact_max_bytes: int = _setting(96 * MIB, "Largest artifact; snapshots of workspaces are some", 1, 1024 * MIB)
    artifact_orphan_h: float = _setting(24.0, "Hours that a file which nothing names is kept", 0.1, 8760)
    # --- terminals
    terminal_command_max_bytes: int = _setting(64 * MIB, "Output of one command that is kept", 1, 1024 * MIB)
    terminal_attempt_max_bytes: int = _setting(256 * MIB, "Kept output of one attempt's commands", 1, 4096 * MIB)
    terminal_viewers_max: int = _setting(1000, "Viewers of one run's terminal at one server", 1, 1_000_000)
    terminal_idle_s: float = _setting(
        3600.0, "Time after which a terminal is closed that showed its viewer nothing", 0.05, 604_800
    )
    terminal_input_max_bytes: int = _setting(8_192, "Most bytes that are typed into a terminal at once", 1, MIB)
    terminal_input_bytes_s: int = _setting(32_768, "Bytes a second that a viewer types; more is heard later", 1, MIB)
    terminal_input_untaken_max_bytes: int = _setting(65_536, "Typed bytes that wait for their command", 1, 16 * MIB)
    terminal_input_patience_s: float = _setting(10.0, "Time that input waits for a command that reads none", 0, 3600)
    socket_frame_max_bytes: int = _setting(16_384, "Largest frame that a viewer sends", 256, 16 * MIB)
    # --- artifacts in a bucket
    s3_bucket: str | None = _setting(
        None, "Bucket that artifacts lie in; without it, beside the database; needs the extra s3", 3, 255
    )
    s3_prefix: str = _setting("", "Beginning of the keys of all artifacts in the bucket", 0, 500, pattern=r"[\w./-]*")
    s3_endpoint: str | None = _setting(
        None, "Address of what speaks like S3; without it, that of AWS", 1, 2000, pattern=r"https?://[^\s@/]+/?"
    )
    s3_region: str | None = _setting(None, "Region of the bucket; without it, AWS_REGION, else us-east-1", 1, 64)
    s3_access_key_id: str | None = _setting(
        None, "Key of the bucket; without it, AWS_ACCESS_KEY_ID, a web identity, or the machine's role", 1, 256
    )
    s3_secret_access_key: str | None = _setting(None, "Secret of that key", 1, 1024, secret=True)
    s3_path_style: bool = _setting(True, "Whether addresses name the bucket in their path, else before the host")
    s3_ca_file: str | None = _setting(None, "PEM file of further certificates that the bucket may show", 1, 4096)
    s3_encryption: str = _setting(
        "bucket",
        "Encryption that is asked for with each object; bucket: as the bucket does by itself",
        choices=("bucket", "AES256", "aws:kms", "aws:kms:dsse"),
    )
    s3_kms_key_id: str | None = _setting(None, "Key that aws:kms encrypts with; without it, the bucket's own", 1, 2048)
    s3_connect_s: float = _setting(5.0, "Longest time until the bucket is connected", 0.05, 600)
    s3_request_s: float = _setting(30.0, "Longest time of one request to the bucket, its bytes included", 0.05, 3600)
    s3_retries: int = _setting(3, "How often a request to the bucket that failed is made again", 0, 100)
    s3_retry_s: float = _setting(30.0, "Longest time that a request to the bucket is made again for", 0, 3600)
    # --- evidence
    evidence_max_bytes: int = _setting(1024 * MIB, "Largest evidence bundle", MIB, 3072 * MIB)
    evidence_artifacts_max: int = _setting(10_000, "Most values of a run in its evidence bundle", 1, 60_000)
    evidence_exports_max: int = _setting(4, "Evidence bundles that a server makes at a time", 1, 1000)
    # --- webhooks
    webhook_slots: int = _setting(100, "Messages that a server sends at a time", 1, 10_000)
    webhook_slots_per_source: int = _setting(10, "Messages that a server sends to one address at a time", 1, 10_000)
    webhook_timeout_s: float = _setting(15.0, "Longest time that an address may take to answer", 0.05, 600)
    webhook_poll_s: float = _setting(1.0, "Interval of the look for messages that are due", 0.02, 600)
    webhook_attempts: int = _setting(13, "How often a message is sent before it is given up", 1, 100)
    webhook_retry_initial_s: float = _setting(5.0, "Rest before the second attempt; it doubles each time", 0, 86_400)
    webhook_retry_max_s: float = _setting(14_400.0, "Longest rest between two attempts", 0, 864_000)
    webhook_disable_days: float = _setting(
        3.0, "Days of nothing but failures after which a subscription is switched off", 0.0001, 365
    )
    webhook_retention_days: float = _setting(30.0, "Days that finished deliveries are kept", 0.0001, 36_500)
    webhook_subscriptions_max: int = _setting(100, "Subscriptions of one project", 1, 10_000)
    # --- secrets
    secrets_max: int = _setting(200, "Secrets of one project", 1, 10_000)
    secrets_known_days: float = _setting(
        7.0, "Days for which a value that was replaced or deleted is still hidden from readers", 0.0001, 3650
    )
    # --- requests, lists and streams
    connection_idle_s: float = _setting(75.0, "Time that an idle connection is kept open", 0.05, 3600)
    connection_stall_s: float = _setting(
        60.0, "Time that a client may take nothing of what it is sent before it is cut off", 0.05, 3600
    )
    request_read_s: float = _setting(60.0, "Time for a request's head, and again for its body, to arrive", 0.05, 3600)
    head_max_bytes: int = _setting(65_536, "Largest head of a request", 1024, 16 * MIB)
    body_max_bytes: int = _setting(MIB, "Largest request body", 1024, 1024 * MIB)
    bulk_body_max_bytes: int = _setting(16 * MIB, "Largest body of a bulk request", 1024, 1024 * MIB)
    bulk_items_max: int = _setting(1000, "Items of one bulk trigger", 1, 100_000)
    page_default: int = _setting(50, "Rows of a list page when no limit is asked for", 1, 10_000)
    page_max: int = _setting(500, "Most rows of a list page", 1, 10_000)
    scan_budget: int = _setting(20_000, "Rows that a filtered list page may read", 1, 10_000_000)
    bundle_records_max: int = _setting(
        10_000, "Most rows of each part of a debug bundle, and events that a timeline is read from", 1, 1_000_000
    )
    stream_keepalive_s: float = _setting(
        15.0, "Silence of a stream before a comment is sent and its key checked", 0.02, 300
    )
    stream_retry_ms: int = _setting(2000, "Delay before a cut stream's client comes back", 0, 600_000)
    stream_lag_max: int = _setting(10_000, "Events that a stream's reader may be behind", 1, 10_000_000)
    stream_lag_max_bytes: int = _setting(
        16 * MIB, "Bytes of events that a stream's reader may be behind", 4096, 1024 * MIB
    )
    stream_page: int = _setting(500, "Events of a backlog read at once", 1, 10_000)
    feed_window: int = _setting(10_000, "State changes that a reader of the feed may be behind", 1, 10_000_000)
    streams_per_key: int = _setting(10_000, "Open streams of one key at one server", 1, 10_000_000)
    # --- health, metrics, traces and logs
    tracing: bool = _setting(False, "Send traces as the OTEL_* variables say; needs the extra otel")
    ready_timeout_s: float = _setting(2.0, "Time of the store to answer before /readyz says 503", 0.01, 60)
    ready_loop_intervals: float = _setting(
        5.0, "Intervals without a good round after which /readyz calls a loop stuck", 1, 1000
    )
    metrics_public: bool = _setting(False, "Let everybody read /metrics, without credentials")
    metrics_queues_max: int = _setting(100, "Queues whose depth is shown by name; the rest is one", 1, 10_000)
    log_level: str = _setting("info", "Least level that is logged", choices=("debug", "info", "warning", "error"))
    log_format: str = _setting("text", "Form of the log lines", choices=("text", "json"))
    log_requests: str = _setting(
        "debug", "Level at which each request is one line, or off", choices=("off", "debug", "info")
    )
    log_line_max_bytes: int = _setting(16_384, "Largest log line; what is longer is cut", 1024, MIB)


def _table() -> tuple[Setting, ...]:
    types = get_type_hints(Settings)
    ordered = sorted(fields(Settings), key=lambda each: each.name not in Settings.__annotations__)
    return tuple(Setting(name=each.name, type=types[each.name], **each.metadata) for each in ordered)


SETTINGS: tuple[Setting, ...] = _table()
