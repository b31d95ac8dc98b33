"""What the command line says and shows of schedules."""

import msgspec

from tests.cli.conftest import Call, Script
from tests.client.local_server import json_answer

JOB = {"id": "job_1", "slug": "greet", "name": "greet", "cron": "0 6 * * *"}


def test_a_job_is_given_a_schedule(call_server: Call, script: Script):
    script.on("PATCH", "/v1/jobs/greet", json_answer(JOB))
    asked = ["--cron", "0 6 * * *", "--timezone", "Asia/Tokyo", "--catch-up", "all", "--overlap", "skip"]
    assert call_server("jobs", "update", "greet", *asked, "--payload-template", '{"a": [1]}').code == 0
    assert msgspec.json.decode(script.requests[-1].body) == {
        "cron": "0 6 * * *",
        "timezone": "Asia/Tokyo",
        "catch_up": "all",
        "overlap": "skip",
        "payload_template": {"a": [1]},
    }


def test_a_schedule_is_taken_away(call_server: Call, script: Script):
    script.on("PATCH", "/v1/jobs/greet", json_answer(JOB))
    assert call_server("jobs", "update", "greet", "--clear", "cron", "--payload-template", "{}").code == 0
    assert msgspec.json.decode(script.requests[-1].body) == {"cron": None, "payload_template": {}}


def test_a_template_that_is_no_object_is_refused(call_server: Call, script: Script):
    refused = call_server("jobs", "update", "greet", "--payload-template", "[1]")
    assert (refused.code, script.requests) == (2, [])
    assert "--payload-template must be a JSON object" in refused.err


def test_a_schedule_is_shown_by_its_own_clock(call_server: Call, script: Script):
    schedule = {
        "job_id": "job_1",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "catch_up": "one",
        "overlap": "allow",
        "enabled": True,
        "upcoming": ["2027-03-28T01:00:00.000000Z"],
    }
    script.on("GET", "/v1/jobs/nightly/schedule", json_answer(schedule))
    lines = call_server("jobs", "schedule", "nightly", "--count", "1").out.splitlines()
    assert lines[-1].split(None, 1) == ["2027-03-28T01:00:00.000000Z", "Sun 2027-03-28 03:00 CEST"]
    assert ("count", "1") in script.requests[-1].query
    assert call_server("jobs", "schedule", "nightly", "--json").json() == schedule
