"""What the command line says and shows of dependencies."""

import msgspec

from tests.cli.conftest import Call, Script
from tests.client.local_server import json_answer

ONE = {"id": "dep_1", "job_id": "job_1", "depends_on_job_id": "job_2", "condition": "completed", "on_miss": "fail"}
PATH = "/v1/jobs/report/dependencies"


def test_a_dependency_is_added_with_its_terms(call_server: Call, script: Script):
    script.on("POST", PATH, json_answer(ONE, 201))
    asked = ["--condition", "any", "--on-miss", "fail", "--max-age-secs", "60", "--timeout-secs", "5"]
    assert call_server("jobs", "dependencies", "add", "report", "ingest", *asked).code == 0
    body = {"depends_on_job_id": "ingest", "condition": "any", "on_miss": "fail", "max_age_secs": 60, "timeout_secs": 5}
    assert msgspec.json.decode(script.requests[-1].body) == body


def test_terms_are_changed_and_taken_away(call_server: Call, script: Script):
    script.on("PATCH", f"{PATH}/dep_1", json_answer(ONE))
    asked = ["--on-miss", "skip", "--clear", "max-age-secs"]
    assert call_server("jobs", "dependencies", "update", "report", "dep_1", *asked).code == 0
    assert msgspec.json.decode(script.requests[-1].body) == {"on_miss": "skip", "max_age_secs": None}
    assert call_server("jobs", "dependencies", "update", "report", "dep_1").code == 2


def test_dependencies_are_listed_shown_and_deleted(call_server: Call, script: Script):
    script.on("GET", PATH, json_answer([ONE]))
    script.on("GET", f"{PATH}/dep_1", json_answer(ONE))
    script.on("DELETE", f"{PATH}/dep_1", json_answer(None, 204))
    assert "dep_1" in call_server("jobs", "dependencies", "list", "report").out
    assert call_server("jobs", "dependencies", "get", "report", "dep_1", "--json").json() == ONE
    assert call_server("jobs", "dependencies", "delete", "report", "dep_1", "--yes").out == "deleted dep_1\n"


def test_a_run_shows_what_it_waits_for(call_server: Call, script: Script):
    of_run = {**ONE, "satisfied": False, "matched_run_id": None, "reason": "no run of that job has ended yet"}
    status = {"run_id": "run_1", "status": "waiting", "dependencies": [of_run], "dependencies_satisfied": False}
    script.on("GET", "/v1/runs/run_1/dependency-status", json_answer(status))
    shown = call_server("jobs", "dependencies", "status", "run_1").out
    assert "no run of that job has ended yet" in shown
    assert call_server("jobs", "dependencies", "status", "run_1", "--json").json() == status
