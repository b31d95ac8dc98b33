"""Order the runs of a queue and name the limits that they pass on the way in.

Rank is fixed when a run is admitted: projects take turns, as in virtual-time fair queueing, and priority is a bounded
head start in the same currency. Ageing needs no rewriting, because the ranks of those who come later only grow.
"""

HEAD_START = 100.0  # turns, per level of priority


def turn_and_rank(floor: float, last_turn: float, weight: float, priority: int) -> tuple[float, float]:
    """Return the (turn, rank) of a run that is admitted now; the claim takes the smallest rank, then the oldest run.

    ``floor`` is the smallest ready rank of the queue, or the latest turn taken in it when none is ready: it must not
    fall back to zero, or a new project would overtake all that others have used up. ``last_turn`` is the project's last
    turn in this queue (0 at first); a project of ``weight`` 2 comes twice as often as one of weight 1.
    ``priority`` is 0 to 10.
    """
    if weight <= 0:
        raise ValueError("a weight is positive")
    turn = max(floor, last_turn) + 1.0 / weight
    return turn, max(floor, turn - HEAD_START * priority)


def job_key(job_id: str) -> str:
    """Name the limit of a job's executing runs (`max_concurrency`)."""
    return f"job:{job_id}"


def concurrency_key(job_id: str, key: str) -> str:
    """Name the limit of a job's runs that share a concurrency key (`max_concurrency_per_key`)."""
    return f"key:{job_id}:{key}"  # an id holds no colon, so no two pairs share a name


def project_key(project_id: str) -> str:
    """Name the limit of a project's executing runs."""
    return f"project:{project_id}"
