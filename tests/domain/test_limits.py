import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.limits import HEAD_START, concurrency_key, job_key, project_key, turn_and_rank

FLOORS = st.floats(min_value=0, max_value=1e9)
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
PRIORITIES = st.integers(min_value=0, max_value=10)


class Queue:
    """A queue as the store keeps it: admits with a fixed rank, claims the smallest, then the oldest."""

    def __init__(self):
        self.ready, self.turns, self.last_claimed, self.admitted = [], {}, 0.0, 0

    def admit(self, project, weight=1.0, priority=0):
        floor = self.ready[0][0] if self.ready else self.last_claimed
        turn, rank = turn_and_rank(floor, self.turns.get(project, 0.0), weight, priority)
        self.turns[project] = turn
        self.admitted += 1
        heapq.heappush(self.ready, (rank, self.admitted, project))
        return self.admitted

    def claim(self):
        self.last_claimed, number, project = heapq.heappop(self.ready)
        return number, project

    def drain(self):
        return [self.claim()[1] for _ in range(len(self.ready))]


@given(FLOORS, FLOORS, WEIGHTS, PRIORITIES)
def test_a_rank_lies_between_the_floor_and_its_turn(floor, last_turn, weight, priority):
    turn, rank = turn_and_rank(floor, last_turn, weight, priority)
    assert turn >= max(floor, last_turn)
    assert floor <= rank <= turn
    assert rank >= turn - HEAD_START * priority or rank == floor


@given(FLOORS, FLOORS, WEIGHTS)
def test_without_priority_the_rank_is_the_turn(floor, last_turn, weight):
    turn, rank = turn_and_rank(floor, last_turn, weight, 0)
    assert rank == turn == max(floor, last_turn) + 1 / weight


@given(st.lists(st.integers(min_value=1, max_value=40), min_size=2, max_size=5))
def test_projects_take_turns_however_much_each_submits(sizes):
    queue = Queue()
    for project, size in enumerate(sizes):
        for _ in range(size):
            queue.admit(project)
    order = queue.drain()
    for first in range(len(sizes)):
        for second in range(len(sizes)):
            both = min(sizes[first], sizes[second])
            seen = [0, 0]
            for project in order:
                seen = [seen[0] + (project == first), seen[1] + (project == second)]
                if max(seen) <= both:
                    assert abs(seen[0] - seen[1]) <= 2 or first == second  # who came first leads by a turn


def test_a_project_of_twice_the_weight_comes_twice_as_often():
    queue = Queue()
    for _ in range(60):
        queue.admit("heavy", weight=2.0)
        queue.admit("light", weight=1.0)
    assert abs(queue.drain()[:60].count("heavy") - 40) <= 1


@given(st.integers(min_value=1, max_value=10), st.integers(min_value=0, max_value=30))
def test_priority_is_a_head_start_and_no_more(priority, behind):
    queue = Queue()
    for _ in range(100 * priority + behind + 5):
        queue.admit("busy")
    mine = queue.admit("busy", priority=priority)
    claimed_before = 0
    while queue.claim()[0] != mine:
        claimed_before += 1
    assert abs(claimed_before - (behind + 5)) <= 1


def test_a_higher_priority_comes_before_a_lower_one():
    queue = Queue()
    for _ in range(10):
        queue.admit("p")
    low, high = queue.admit("p", priority=0), queue.admit("p", priority=1)
    numbers = [queue.claim()[0] for _ in range(12)]
    assert numbers.index(high) < numbers.index(low)


@given(st.lists(st.tuples(st.sampled_from("abc"), WEIGHTS, PRIORITIES), max_size=30))
def test_nothing_starves_behind_urgent_runs_that_never_end(before):
    queue = Queue()
    for project, weight, priority in before:
        queue.admit(project, weight, priority)
    mine = queue.admit("patient")
    claims = 0
    while True:
        queue.admit("urgent", priority=10)  # one more urgent run for every claim, for ever
        claims += 1
        if queue.claim()[0] == mine:
            break
        assert claims < 10 * HEAD_START + 10 * len(before) + 10


def test_a_new_project_does_not_wait_for_the_past_of_others():
    queue = Queue()
    for _ in range(500):
        queue.admit("old")
    first = queue.admit("new")
    assert first in [queue.claim()[0] for _ in range(3)]


def test_an_idle_project_saves_no_turns_up():
    queue = Queue()
    queue.admit("idle")
    for _ in range(100):
        queue.admit("busy")
    queue.drain()
    for _ in range(10):
        queue.admit("busy")
        queue.admit("idle")
    assert abs(queue.drain()[:10].count("idle") - 5) <= 1


def test_a_weight_is_positive():
    with pytest.raises(ValueError, match="positive"):
        turn_and_rank(0, 0, 0, 0)


TEXTS = st.text(max_size=10)
IDS = st.from_regex(r"\A[a-z]+_[0-9a-f]{4}\Z")


@given(IDS, TEXTS, IDS, TEXTS)
def test_no_two_limits_share_a_key(job, key, other_job, other_key):
    same = (job, key) == (other_job, other_key)
    assert (concurrency_key(job, key) == concurrency_key(other_job, other_key)) == same
    assert len({job_key(job), concurrency_key(job, key), project_key(job)}) == 3
