"""What the API takes of a delivery, by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

Action = Literal["commit", "push", "open_pr"]


class TreeDelivery(TypedDict, total=False):
    """What is to become of a tree; see the specification for what `commit`, `branch` and `pr` hold."""

    actions: Sequence[Action]
    commit: Mapping[str, Any]
    branch: Mapping[str, Any]
    pr: Mapping[str, Any]
    if_base_moved: Literal["stop", "deliver"]


class DeliveryOptions(TreeDelivery, total=False):
    """What is to become of a run; where nothing is named, what the order of a loop itself says."""

    dry_run: bool
    ask_again: bool
