"""The catalogue of events is closed, and its schemas describe what is really written."""

import itertools
from typing import get_args

import jsonschema_rs
import msgspec
import pytest
from msgspec.structs import replace

from runwright.domain import commands as c
from runwright.domain import events as e
from runwright.domain import job_events as w
from runwright.domain import outcome as o
from runwright.domain import workflow_events as steps
from runwright.domain.amendments import Exchanged
from runwright.domain.events import Draft
from runwright.domain.redaction import compose
from runwright.domain.run import ValueRef
from tests.domain.specimens import CAUSE, HOUR, SPECIMENS, T0, WORKER, History, failed, log_line, text

LIFECYCLE = {name for name, entry in e.CATALOGUE.items() if not (entry.by_job or entry.by_agent or entry.by_runtime)}
REF = ValueRef("0" * 64, 9, text('{"n":1}'))


def rich() -> list[History]:
    """Return histories whose events use every optional field."""
    sleeper = History(scheduled_at=T0 + HOUR, tags={"a": "b"}, priority=3, parent_run_id="run_x")
    sleeper.due()
    sleeper.claim()
    sleeper.finish(failed(traceback=text("Traceback …"), retry_after_ms=10), log_line())
    done = SPECIMENS["executing"]()
    done.finish(o.Completed(REF, b"sealed"))
    resumed = SPECIMENS["paused from waiting"]()
    resumed.resume()
    fenced = SPECIMENS["executing, asked for both"]()
    fenced.fence()
    confirmed = SPECIMENS["executing, asked to cancel"]()
    confirmed.finish(o.Stopped())
    annotated = SPECIMENS["executing"]()
    note = Draft("run.annotated", compose(e.Annotated({"phase": "two"})))
    annotated.apply(c.Append(annotated.standing.run_id, 1, (note,), annotations={"phase": "two"}))
    assert annotated.standing.metadata["phase"] == "two"
    parent = SPECIMENS["executing"]()
    others = (w.ChildSpawned("run_y", "resize"), w.Continued("run_z", 1))
    said = zip(("child.spawned", "run.continued"), others, strict=True)
    parent.apply(c.Append(parent.standing.run_id, 1, tuple(Draft(name, compose(data)) for name, data in said)))
    workflow = SPECIMENS["a workflow, waiting for its steps"]()
    workflow.apply(c.Proceed(run_id=workflow.standing.run_id, on="child", cause=CAUSE, drafts=of_steps()))
    recorded = SPECIMENS["executing"]()
    told = compose(Exchanged(1, {"status": 200}, "a body", 6, True))
    exchanged = (Draft("debug.request", told), Draft("debug.response", told))
    recorded.apply(c.Append(recorded.standing.run_id, 1, exchanged))
    described = c.Reschedule(run_id="run_x", scheduled_at=T0 + HOUR, cause=CAUSE, payload=b"sealed", described=REF)
    moved = SPECIMENS["queued"]()
    moved.apply(replace(described, run_id=moved.standing.run_id))
    return [
        recorded,
        moved,
        sleeper,
        done,
        annotated,
        resumed,
        fenced,
        confirmed,
        *(make() for make in SPECIMENS.values()),
        parent,
        workflow,
    ]


def of_steps() -> tuple[Draft, ...]:
    """Return one of each of what the log of a workflow's run says of its steps."""
    told: tuple[msgspec.Struct, ...] = (
        steps.StepReused("top", "run_x"),
        steps.StepStarted("left", "run_y", "resize"),
        steps.StepEnded("left", "failed", "run_y", "ValueError", text("boom")),
        steps.StepSkipped("bottom", ("left",)),
    )
    names = {shape: name for name, shape in steps.SHAPES.items()}
    return tuple(Draft(names[type(data)], compose(data)) for data in told)


def every_event() -> list[e.Event]:
    return list(itertools.chain.from_iterable(history.events for history in rich()))


def test_the_specimens_write_every_event_of_the_lifecycle():
    assert LIFECYCLE - {event.type for event in every_event()} == set()


def test_every_event_that_is_written_has_the_shape_of_its_schema():
    validators = {name: jsonschema_rs.Draft202012Validator(schema) for name, schema in e.schemas().items()}
    for event in every_event():
        validators[event.type].validate(msgspec.json.decode(event.data or b""))


@pytest.mark.parametrize("name", e.CATALOGUE)
def test_every_schema_is_one(name):
    schema = e.schemas()[name]
    assert jsonschema_rs.meta.is_valid(schema)
    assert (schema["title"], schema["x-kind"]) == (name, e.CATALOGUE[name].kind)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", sorted(LIFECYCLE))
def test_a_schema_refuses_an_event_without_its_data(name):
    assert not jsonschema_rs.Draft202012Validator(e.schemas()[name]).is_valid({})


@pytest.mark.parametrize("name", e.CATALOGUE)
def test_a_schema_refuses_what_is_no_object(name):
    assert not jsonschema_rs.Draft202012Validator(e.schemas()[name]).is_valid(["a list"])


def test_every_type_has_a_kind_and_the_terminal_ones_are_four():
    assert {entry.kind for entry in e.CATALOGUE.values()} <= set(get_args(e.Kind))
    assert {f"run.{state}" for state in ("completed", "failed", "cancelled", "expired")} == e.TERMINAL_TYPES
    assert e.TERMINAL_TYPES < LIFECYCLE


def test_no_job_can_append_what_moves_a_run():
    moving = {name for name in e.CATALOGUE if name.startswith("run.")} - {"run.progress", "run.stage_changed"}
    assert {name for name, entry in e.CATALOGUE.items() if entry.by_runtime} & moving == set()
    assert {name for name, entry in e.CATALOGUE.items() if entry.by_agent} & moving == set()
    assert {name for name, entry in e.CATALOGUE.items() if entry.by_job} & moving == set()


def test_an_event_is_named_by_its_run_and_its_seq():
    event = SPECIMENS["executing"]().events[1]
    assert event.event_id == f"{event.run_id}.2"


def test_the_first_event_carries_the_whole_configuration():
    history = History(tags={"a": "b"}, priority=3)
    data = history.data("run.created")
    assert msgspec.json.encode(data["spec"]) == history.command.opening
    assert data["state"] == "queued"


def test_lifecycle_events_say_who_did_it():
    cancelled = SPECIMENS["executing, asked to cancel"]()
    cancelled.finish(o.Stopped())
    assert [(event.type, event.actor) for event in cancelled.events] == [
        ("run.created", "user:user_1"),
        ("run.started", f"worker:{WORKER}"),
        ("run.cancel_requested", "user:user_1"),
        ("run.cancelled", "system:attempt"),
    ]
