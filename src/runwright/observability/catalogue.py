"""Every metric that `/metrics` shows, by Prometheus' conventions: base units, `_total` for what only grows.

Those that OpenTelemetry's conventions for generative AI name have these names and labels, and their buckets.
No label holds an id or anything else that grows with use: routes are templates, states and reasons are closed lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

_BRIEF = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_MEMORY = tuple(float(mb << 20) for mb in (4, 16, 64, 256, 512, 1024, 4096, 8192, 16_384, 32_768))
_CALLS = tuple(0.01 * 2**step for step in range(14))
_TOKENS = tuple(float(4**step) for step in range(14))
_SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe one metric as the reference prints it; a histogram has the upper bounds of its buckets."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


COMMIT_SECONDS = Metric(
    "runwright_commit_duration_seconds", "histogram", "Time of one transaction of the commit, until durable", (), _BRIEF
)
COMMIT_REQUESTS = Metric(
    "runwright_commit_batch_requests", "histogram", "Commands applied together by one transaction", (), _SIZES
)
COMMIT_FAILURES = Metric(
    "runwright_commit_failures_total", "counter", "Transactions of the commit that failed, by error code", ("code",)
)
COMMIT_BACKLOG = Metric("runwright_commit_backlog_requests", "gauge", "Commands that wait for a transaction")
COMMIT_BACKLOG_MAX = Metric(
    "runwright_commit_backlog_limit_requests", "gauge", "Waiting commands at which new runs are refused with 503"
)
EVENTS = Metric("runwright_events_appended_total", "counter", "Events appended to the logs of runs", ("type",))
RUNS_CREATED = Metric("runwright_runs_created_total", "counter", "Runs created", ("kind", "executor"))
RUNS_ENDED = Metric(
    "runwright_runs_ended_total", "counter", "Runs that reached their end, and why", ("kind", "state", "reason")
)
RUN_SECONDS = Metric(
    "runwright_run_duration_seconds", "histogram", "Time from a run's creation to its end", ("kind", "state"), _LONG
)
RETRIES = Metric("runwright_run_retries_total", "counter", "Attempts that failed and will be followed by another")
DEAD_LETTERS = Metric("runwright_dead_letters_total", "counter", "Runs that used up their attempts")
TRIGGERED = Metric(
    "runwright_runs_triggered_total",
    "counter",
    "Runs created, by what started them: a `chain` is the end of another run, an `event` one that was sent",
    ("by",),
)
WAITS = Metric("runwright_waits_total", "counter", "Runs that began to wait, and for what", ("on",))
WAIT_SECONDS = Metric(
    "runwright_wait_duration_seconds",
    "histogram",
    "Time that runs waited, for what, and how that ended: it came, it was late, or the run was stopped or paused",
    ("on", "end"),
    _LONG,
)
QUEUE_WAIT = Metric(
    "runwright_queue_wait_seconds", "histogram", "Time from ready to claimed, of each attempt", ("executor",), _LONG
)
START_DELAY = Metric(
    "runwright_claim_to_start_seconds",
    "histogram",
    "Time from the claim to the executor's begin, of attempts in this process",
    ("executor",),
    _BRIEF,
)
ATTEMPT_SECONDS = Metric(
    "runwright_attempt_duration_seconds",
    "histogram",
    "Time from the claim of an attempt to its end",
    ("executor", "outcome"),
    _LONG,
)
DISPATCHES = Metric(
    "runwright_dispatches_total",
    "counter",
    "Requests to endpoints: by class of status, fault, or given up",
    ("result",),
)
DISPATCH_SECONDS = Metric(
    "runwright_dispatch_phase_duration_seconds", "histogram", "Time of each phase of a dispatch", ("phase",), _BRIEF
)
LEASE_LOSSES = Metric("runwright_lease_losses_total", "counter", "Leases that ran out: the worker was not heard of")
FENCES = Metric(
    "runwright_fences_total", "counter", "Attempts that did not stop in time when asked, and were fenced off"
)
CRON_FIRES = Metric("runwright_cron_fires_total", "counter", "Runs started by the schedules of jobs, by this server")
CRON_LATENESS = Metric(
    "runwright_cron_lateness_seconds", "histogram", "Time from the instant of a fire to its run", (), _LONG
)
CRON_MISSED = Metric(
    "runwright_cron_missed_total", "counter", "Fires that nobody was there for, and that were not made up for"
)
CRON_OVERLAPS = Metric(
    "runwright_cron_overlaps_total", "counter", "Fires that met an unfinished run: skipped, or cancelled it", ("done",)
)
CRON_REFUSED = Metric("runwright_cron_refused_total", "counter", "Fires whose run could not be made")
WORKFLOW_STEPS = Metric(
    "runwright_workflow_steps_total",
    "counter",
    "Steps of workflows that this server started, skipped, or told the end of",
    ("done",),
)
WEBHOOK_DELIVERIES = Metric(
    "runwright_webhook_deliveries_total",
    "counter",
    "Attempts to deliver a webhook, by this server: delivered, again later, or failed for good",
    ("result",),
)
WEBHOOK_LAG = Metric(
    "runwright_webhook_lag_seconds", "gauge", "Age of the oldest webhook that is not delivered yet, 0 for none"
)
LOOP_FAILURES = Metric("runwright_loop_failures_total", "counter", "Rounds of a loop that failed", ("loop",))
QUEUE_DEPTH = Metric(
    "runwright_queue_ready_runs", "gauge", "Runs ready in a queue, counted up to 1 000 at each scrape", ("queue",)
)
QUEUE_AGE = Metric(
    "runwright_queue_oldest_ready_seconds",
    "gauge",
    "Longest time that a run has been ready which is the next of a queue's lane, at each scrape",
    ("queue",),
)
BULK_ITEMS = Metric(
    "runwright_bulk_items_total",
    "counter",
    "Items of bulk verbs, by this server: done, or refused or found done already",
    ("verb", "result"),
)
SLOTS = Metric(
    "runwright_worker_slots", "gauge", "Attempts that the workers in this process may execute at once", ("executor",)
)
SLOTS_BUSY = Metric("runwright_worker_slots_busy", "gauge", "Attempts that execute in this process", ("executor",))
PROCESSES_STARTED = Metric("runwright_processes_started_total", "counter", "Commands begun in a sandbox", ("preset",))
PROCESSES_LIMITED = Metric(
    "runwright_processes_limited_total", "counter", "Commands killed because they passed a limit", ("limit",)
)
PROCESSES_REFUSED = Metric(
    "runwright_processes_refused_total", "counter", "What sandboxes refused: the network, paths, calls", ("what",)
)
PROCESS_MEMORY = Metric(
    "runwright_process_peak_memory_bytes", "histogram", "Most memory that a command was seen to use", (), _MEMORY
)
TOKENS = Metric(
    "gen_ai_client_token_usage",
    "histogram",
    "Tokens of calls of models, as the provider told them",
    ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"),
    _TOKENS,
)
MODEL_SECONDS = Metric(
    "gen_ai_client_operation_duration_seconds",
    "histogram",
    "Time of calls of models in this process, to their end; `error_type` says how one failed",
    ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"),
    _CALLS,
)
FIRST_CHUNK = Metric(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "histogram",
    "Time from a call of a model to the first piece of its answer",
    ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"),
    _CALLS,
)
TOOL_SECONDS = Metric(
    "gen_ai_execute_tool_duration_seconds",
    "histogram",
    "Time of calls of tools in this process; `error_type` says how one failed",
    ("gen_ai_tool_name", "error_type"),
    _CALLS,
)
BUDGETS_EXHAUSTED = Metric(
    "runwright_budget_exhaustions_total",
    "counter",
    "Limits of agents that had not enough left for what came next, by whose and of what",
    ("scope", "limit"),
)
RUNTIME_ENDED = Metric(
    "runwright_runtime_runs_ended_total",
    "counter",
    "Runs over a workspace that ended: in which mode, why, and what their gates said",
    ("mode", "stop_code", "gate_status"),
)
RUNTIME_STEPS = Metric(
    "runwright_runtime_steps_total", "counter", "Steps of such runs, by what became of them", ("kind", "status")
)
LOOPS_ENDED = Metric(
    "runwright_loops_ended_total", "counter", "Remediation loops that ended, and why", ("exit_reason",)
)
LOOP_ITERATIONS = Metric(
    "runwright_loop_iterations_total",
    "counter",
    "Iterations of loops that ended, by who patched and what became of it; `other` is who is no fixer of Runwright's",
    ("patcher", "outcome"),
)
APPROVALS_PENDING = Metric(
    "runwright_approvals_pending_runs", "gauge", "Runs that wait for an approval, counted up to 1 000 at each scrape"
)
APPROVAL_SECONDS = Metric(
    "runwright_approval_duration_seconds",
    "histogram",
    "Time from the question to its end: approved, denied, expired or superseded",
    ("status",),
    _LONG,
)
INPUTS_WAITING = Metric(
    "runwright_inputs_waiting_runs", "gauge", "Runs that wait for a person's answer, counted up to 1 000 at each scrape"
)
STREAMS_OPEN = Metric("runwright_streams_open", "gauge", "Event streams that are open")
STREAMS_LAGGED = Metric(
    "runwright_streams_lagged_total", "counter", "Streams ended because their reader fell too far behind"
)
SOCKETS_CLOSED = Metric(
    "runwright_terminals_closed_total",
    "counter",
    "Viewers of terminals that went or were let go, by close code",
    ("code",),
)
SCANS = Metric(
    "runwright_scans_total",
    "counter",
    "Looks of scanners at workspaces: completed, partial or not run; `other` is who is no scanner of Runwright's",
    ("scanner", "status"),
)
SCAN_SECONDS = Metric(
    "runwright_scan_duration_seconds", "histogram", "Time of one scanner's look at a workspace", ("scanner",), _LONG
)
CONNECTIONS = Metric(
    "runwright_database_busy_connections", "gauge", "Connections to PostgreSQL that are in use", ("pool",)
)
CONNECTIONS_MAX = Metric(
    "runwright_database_limit_connections", "gauge", "Connections to PostgreSQL that may be in use", ("pool",)
)
CONNECTIONS_WANTED = Metric(
    "runwright_database_waiting_requests", "gauge", "Transactions and readings that wait for a connection", ("pool",)
)
BUS_CONNECTED = Metric("runwright_bus_open", "gauge", "1 while hints of other servers can be heard")
BUS_PEERS = Metric("runwright_bus_peers", "gauge", "Other servers that were heard lately")
BUS_SENT = Metric("runwright_bus_hints_sent_total", "counter", "Hints sent to other servers")
BUS_MISSED = Metric("runwright_bus_hints_missed_total", "counter", "Hints of other servers that never came")
BUS_LOSSES = Metric("runwright_bus_losses_total", "counter", "Times that the connection for hints was lost or not made")
BUS_LAG = Metric(
    "runwright_bus_lag_seconds", "histogram", "Time from sending a hint of another server to hearing it", (), _BRIEF
)
HTTP_REQUESTS = Metric(
    "runwright_http_requests_total",
    "counter",
    "Requests answered, by the route's template and the class of the status",
    ("method", "route", "status"),
)
HTTP_SECONDS = Metric(
    "runwright_http_request_duration_seconds",
    "histogram",
    "Time from a request's headers to the first byte of its answer",
    ("method", "route"),
    _BRIEF,
)
EVIDENCE_SECONDS = Metric(
    "runwright_evidence_export_duration_seconds",
    "histogram",
    "Time of making an evidence bundle, until its first byte could be sent",
    ("profile", "form"),
    _LONG,
)
EVIDENCE_BYTES = Metric("runwright_evidence_export_bytes", "histogram", "Size of evidence bundles", ("form",), _MEMORY)
EVIDENCE_REFUSED = Metric(
    "runwright_evidence_refused_total",
    "counter",
    "Evidence bundles that were not handed out: the log is broken, redaction failed, too large, too many at a time",
    ("code",),
)
DELIVERIES = Metric(
    "runwright_deliveries_total",
    "counter",
    "Deliveries of runs that came to their end, by how far they were to go, and the stop code (NONE: it came about)",
    ("action", "code"),
)
BUILD = Metric("runwright_build_info", "gauge", "1, with the version of the server", ("version",))

METRICS: tuple[Metric, ...] = (
    COMMIT_SECONDS,
    COMMIT_REQUESTS,
    COMMIT_FAILURES,
    COMMIT_BACKLOG,
    COMMIT_BACKLOG_MAX,
    EVENTS,
    RUNS_CREATED,
    RUNS_ENDED,
    RUN_SECONDS,
    RETRIES,
    DEAD_LETTERS,
    TRIGGERED,
    WAITS,
    WAIT_SECONDS,
    WORKFLOW_STEPS,
    QUEUE_WAIT,
    START_DELAY,
    ATTEMPT_SECONDS,
    DISPATCHES,
    DISPATCH_SECONDS,
    LEASE_LOSSES,
    FENCES,
    CRON_FIRES,
    CRON_LATENESS,
    CRON_MISSED,
    CRON_OVERLAPS,
    CRON_REFUSED,
    WEBHOOK_DELIVERIES,
    WEBHOOK_LAG,
    LOOP_FAILURES,
    QUEUE_DEPTH,
    QUEUE_AGE,
    BULK_ITEMS,
    SLOTS,
    SLOTS_BUSY,
    PROCESSES_STARTED,
    PROCESSES_LIMITED,
    PROCESSES_REFUSED,
    PROCESS_MEMORY,
    TOKENS,
    MODEL_SECONDS,
    FIRST_CHUNK,
    TOOL_SECONDS,
    BUDGETS_EXHAUSTED,
    APPROVALS_PENDING,
    APPROVAL_SECONDS,
    INPUTS_WAITING,
    RUNTIME_ENDED,
    RUNTIME_STEPS,
    LOOPS_ENDED,
    LOOP_ITERATIONS,
    STREAMS_OPEN,
    STREAMS_LAGGED,
    SOCKETS_CLOSED,
    SCANS,
    SCAN_SECONDS,
    CONNECTIONS,
    CONNECTIONS_MAX,
    CONNECTIONS_WANTED,
    BUS_CONNECTED,
    BUS_PEERS,
    BUS_SENT,
    BUS_MISSED,
    BUS_LOSSES,
    BUS_LAG,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    EVIDENCE_SECONDS,
    EVIDENCE_BYTES,
    EVIDENCE_REFUSED,
    DELIVERIES,
    BUILD,
)
"""Every metric of ours, in the order in which they are shown."""

OF_THE_PROCESS: dict[str, str] = {
    "process_virtual_memory_bytes": "Virtual memory of the process",
    "process_resident_memory_bytes": "Resident memory of the process",
    "process_start_time_seconds": "When the process began, in seconds since the epoch",
    "process_cpu_seconds_total": "Processor time that the process used",
    "process_open_fds": "Open file descriptors",
    "process_max_fds": "Most file descriptors that may be open",
    "python_info": "Version of Python",
    "python_gc_objects_collected_total": "Objects that the garbage collector freed, by generation",
    "python_gc_objects_uncollectable_total": "Objects that the garbage collector could not free, by generation",
    "python_gc_collections_total": "Rounds of the garbage collector, by generation",
}
"""What the client library adds of the process and the interpreter."""
