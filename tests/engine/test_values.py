"""Working values come back exact to the attempt, redacted to readers, and lie in the database as ciphertext only."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.client.handlers import job
from runwright.domain import outcome as o
from runwright.engine.values import PREVIEW_CHARS, encode
from runwright.errors import InvalidRequest, NotFound, StoreError, TooLarge
from runwright.store.base import StoredValue
from tests.engine.world import World, settled
from tests.waiting import until

SECRET = "hunter2-the-secret"
MARKS = {name: f"zq{name}qz" for name in ("payload", "result", "output", "checkpoint", "step")}
"""Texts that no file of the database may hold as they are: their previews are cut before they begin."""


def deep(mark: str) -> dict[str, str]:
    """Return a value whose mark stands beyond the preview."""
    return {"a": "." * 300, "b": mark}


@job
async def keeper(ctx, payload):
    await ctx.step("compute", lambda: deep(MARKS["step"]))
    await ctx.checkpoint(deep(MARKS["checkpoint"]))
    await ctx.output("report", deep(MARKS["output"]))
    assert payload == deep(MARKS["payload"])
    return deep(MARKS["result"])


def stored(world: World) -> bytes:
    """Return every byte of the database and of the files beside it."""
    files = [path.read_bytes() for path in sorted(world.directory.rglob("*")) if path.is_file()]
    return b"".join([world.database.content(), *files])


@pytest.mark.parametrize("inline", [65_536, 0])
async def test_the_plaintext_of_working_values_is_nowhere_on_disk(open_world, inline: int):
    world = await open_world(keeper, value_inline_max_bytes=inline)
    run_id = await world.submit(world.job("keeper"), payload=deep(MARKS["payload"]))
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    await settled(world)
    assert await world.state(run_id) == "completed"
    record = await world.record(run_id)
    reader = world.reader()
    assert reader.payload(record) == deep(MARKS["payload"])
    assert reader.result(record) == deep(MARKS["result"])
    assert [seen.value for seen in await reader.values(record, "output")] == [deep(MARKS["output"])]
    assert [seen.value for seen in await reader.values(record, "checkpoint")] == [deep(MARKS["checkpoint"])]
    assert bool(list((world.directory / "artifacts").rglob("*"))) == (inline == 0)
    found = stored(world)
    assert b"keeper" in found, "the search finds what is there"
    assert [name for name, mark in MARKS.items() if mark.encode() in found] == []


async def test_previews_are_short_and_redacted(world: World):
    run_id = await world.submit(world.job(), payload={"password": SECRET, "text": "x" * 1000})
    spec = (await world.data(run_id, "run.created"))["spec"]
    assert SECRET not in spec["payload"]["preview"]
    assert len(spec["payload"]["preview"]) <= PREVIEW_CHARS + 1
    assert spec["payload"]["bytes"] == len(encode({"password": SECRET, "text": "x" * 1000}))
    assert SECRET.encode() not in stored(world)


async def test_a_secret_that_the_preview_cuts_does_not_show_its_beginning(world: World):
    for before in range(PREVIEW_CHARS - 40, PREVIEW_CHARS + 5):
        seen = world.engine.values.ref("proj_1", encode({"k": "." * before + SECRET})).preview
        assert "hunter2" not in seen


async def test_readers_see_values_redacted_and_the_attempt_sees_them_exact(world: World):
    payload = {"note": f"it is {SECRET}", "n": 1}
    run_id = await world.submit(world.job(), payload=payload)
    record = await world.record(run_id)
    assert world.reader().exact_payload(record) == payload
    assert world.reader().payload(record) == {"note": "it is [redacted:known]", "n": 1}


async def test_a_run_without_a_result_has_none(world: World):
    run_id = await world.submit(world.job())
    record = await world.record(run_id)
    assert (world.reader().result(record), world.reader().payload(record)) == (None, {})


async def test_a_value_opens_in_its_own_place_only(world: World):
    values = world.engine.values
    sealed = values.seal("proj_1", "run_1", "payload", b'{"n":1}')
    assert values.open("proj_1", "run_1", "payload", sealed) == {"n": 1}
    for project_id, run_id, name in (
        ("proj_2", "run_1", "payload"),
        ("proj_1", "run_2", "payload"),
        ("proj_1", "run_1", "result"),
    ):
        with pytest.raises(StoreError):
            values.open(project_id, run_id, name, sealed)
    with pytest.raises(StoreError):
        values.open("proj_1", "run_1", "payload", sealed[:-1] + bytes([sealed[-1] ^ 1]))


async def test_large_values_become_artifacts_and_small_ones_do_not(open_world):
    world = await open_world(value_inline_max_bytes=100)
    values = world.engine.values
    for size, inline in ((97, True), (98, True), (99, False), (5000, False)):
        packed, ref = await values.pack("proj_1", "run_1", "output", "k", "x" * size)
        assert (packed.artifact is None, ref.bytes) == (inline, size + 2)
        stored = StoredValue("run_1", "output", "k", packed.sealed, packed.artifact, packed.note, 0)
        assert await values.unpack("proj_1", stored) == "x" * size


async def test_an_artifact_of_a_value_that_is_gone_or_changed_is_an_error(open_world):
    world = await open_world(value_inline_max_bytes=0)
    packed, _ = await world.engine.values.pack("proj_1", "run_1", "output", "k", {"n": 1})
    assert packed.artifact is not None
    stored = StoredValue("run_1", "output", "k", None, packed.artifact, None, 0)
    path = world.directory / "artifacts" / packed.artifact[:2] / packed.artifact[2:]
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(StoreError):
        await world.engine.values.unpack("proj_1", stored)
    await world.artifacts.remove([packed.artifact])
    with pytest.raises(NotFound):
        await world.engine.values.unpack("proj_1", stored)


async def test_a_payload_that_is_too_large_or_no_json_makes_no_run(open_world):
    world = await open_world(body_max_bytes=1024)
    with pytest.raises(TooLarge):
        world.order(world.job(), payload={"big": "x" * 1024})
    for odd in ({"a": object()}, {"a": {1j}}, {"a": "\ud800"}):
        with pytest.raises(InvalidRequest) as caught:
            world.order(world.job(), payload=odd)
        assert caught.value.code == "value.not_json"
    assert world.rows("SELECT * FROM runs") == []


async def test_an_outcome_carries_its_result_sealed(world: World):
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    encoded = encode({"n": 1})
    sealed = world.engine.values.seal("proj_1", run_id, "result", encoded)
    await world.finish(run, o.Completed(world.engine.values.ref("proj_1", encoded), sealed))
    assert world.reader().result(await world.record(run_id)) == {"n": 1}
    assert (await world.data(run_id, "run.completed"))["result"]["preview"] == '{"n":1}'


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


in_order = msgspec.json.Encoder(order="deterministic").encode


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
async def test_any_payload_comes_back_exact(world: World, payload):
    world.clock.advance(1)  # the simulation has Hypothesis draw ids anew for each case: their instant tells them apart
    run_id = await world.submit(world.job(), payload=payload)
    got = world.reader().exact_payload(await world.record(run_id))
    assert in_order(got) == in_order(payload)
