"""Sinks hear what they asked for, as long as they are attached, and hurt nobody when they break."""

import logging

import pytest

from runwright import telemetry


def test_reports_reach_who_asked_for_all_and_who_asked_by_name_and_observations_the_latter_alone() -> None:
    everything: list[str] = []
    named: list[str] = []
    detach = telemetry.attach(lambda name, fields: everything.append(name))
    detach_named = telemetry.attach(lambda name, fields: named.append(f"{name} {fields['n']}"), "a.thing", "a.figure")
    telemetry.report("a.thing", n=1)
    telemetry.report("another.thing", n=2)
    telemetry.observe("a.figure", n=3)
    telemetry.observe("another.figure", n=4)
    detach()
    detach_named()
    telemetry.report("a.thing", n=5)
    telemetry.observe("a.figure", n=6)
    assert everything == ["a.thing", "another.thing"]
    assert named == ["a.thing 1", "a.figure 3"]


def test_a_sink_that_breaks_is_logged_and_the_others_hear_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def broken(name: str, fields: object) -> None:
        raise ZeroDivisionError

    ends = [telemetry.attach(broken), telemetry.attach(lambda name, fields: heard.append(name))]
    with caplog.at_level(logging.ERROR):
        telemetry.report("a.thing")
    for end in ends:
        end()
    assert heard == ["a.thing"]
    assert "a sink failed over a.thing" in caplog.text
