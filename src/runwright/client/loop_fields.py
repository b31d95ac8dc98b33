"""What the API takes of a remediation loop, by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from runwright.client.delivery_fields import TreeDelivery
from runwright.client.runtime_fields import RuntimeBudget, RuntimeModels, RuntimePolicy

Severity = Literal["P0", "P1", "P2", "P3"]


class LoopTargets(TypedDict, total=False):
    """Which findings are repaired: some of the severities that must be clean, by fingerprint, in files."""

    severities: Sequence[Severity]
    fingerprints: Sequence[str]
    paths: Sequence[str]


class LoopStrategy(TypedDict, total=False):
    """Who makes patches, and how large one may be."""

    patchers: Sequence[Literal["deterministic", "llm"]]
    batch: Literal["one_finding", "by_file", "by_owner"]
    max_files_per_patch: int
    max_diff_lines: int
    llm_failure_policy: Literal["block", "deterministic_only", "warn", "ignore"]


class LoopDelivery(TreeDelivery, total=False):
    """What becomes of the tree of a loop by itself: if it ended `clean`, or with a verdict that is `passed`."""

    when: Literal["clean", "passed"]


class LoopOrder(TypedDict, total=False):
    """What is asked of a loop: over a repository (`repo`, `ref`), or over that of a runtime run (`run_id`).

    A gate is an object with `id` and `command`; `approvals` says who approves the `plan`, and each `patch`.
    """

    run_id: str
    repo: str
    ref: str
    mode: Literal["edit_gated", "autonomous_gated"]
    objective: str
    targets: LoopTargets
    clean_through: Severity
    max_iterations: int | None
    max_no_progress: int | None
    quality_gates: Sequence[Mapping[str, Any]]
    strategy: LoopStrategy
    approvals: Mapping[str, Any]
    models: RuntimeModels
    budget: RuntimeBudget
    policy: RuntimePolicy
    gate: Mapping[str, str]
    deliver: LoopDelivery | None
    labels: Mapping[str, str]
    project_id: str
    queue: str
    priority: int
