"""The proof that retention took a log away: it holds for each run of a round, and for nothing else."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runwright.domain.pruning import Remains, last_event, proofs, root
from runwright.domain.run import TERMINAL
from tests.domain.specimens import SPECIMENS


def made(number: int) -> Remains:
    digest = sha256(str(number).encode()).hexdigest()
    return Remains(number, digest, digest[::-1], f"run_{number}", number + 2, "completed")


ROUNDS = st.integers(1, 40).map(lambda count: [made(number) for number in range(count)])


@given(ROUNDS)
def test_every_run_of_a_round_leads_to_its_root(runs: list[Remains]):
    found, ways = proofs(runs)
    assert [root(run, way) for run, way in zip(runs, ways, strict=True)] == [found] * len(runs)


@given(ROUNDS, st.data())
def test_what_is_changed_in_anything_leads_elsewhere(runs: list[Remains], data: st.DataObject):
    found, ways = proofs(runs)
    place = data.draw(st.integers(0, len(runs) - 1))
    run, way = runs[place], ways[place]
    for name in Remains.__struct_fields__:
        value = getattr(run, name)
        other = value + 1 if isinstance(value, int) else value[::-1] + "x"
        assert root(replace(run, **{name: other}), way) != found
    other = data.draw(st.integers(0, len(runs) - 1))
    assert (root(run, ways[other]) == found) is (ways[other] == way)
    if way:
        at = data.draw(st.integers(0, len(way) - 1))
        assert root(run, way[:at] + bytes([way[at] ^ 1]) + way[at + 1 :]) != found


def test_the_end_that_is_told_of_a_thinned_run_is_that_of_its_log():
    for make in SPECIMENS.values():
        run, events = make().standing, make().events
        if run.state in TERMINAL:
            told, was = last_event(run), events[-1]
            assert (told.type, told.seq, told.created_at) == (was.type, was.seq, was.created_at)
            assert (told.data, told.message) == (None, "")
