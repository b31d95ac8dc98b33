"""What commands send, print and exit with."""

import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclopts import App

from runwright.cli.main import app, whole
from tests.cli.conftest import Call, Script
from tests.client.local_server import Answer, Request, dead_url, json_answer, problem

RUN = {"id": "run_1", "status": "completed", "state": "completed", "attempt": 2, "job_id": "job_1", "new_field": [1]}
JOB = {"id": "job_1", "slug": "greet", "queue": "default", "version": 3, "max_attempts": 3, "timeout_secs": 60}
ORG = {"id": "org_1", "slug": "acme", "name": "Acme"}
PROJECT = {"id": "proj_1", "slug": "blue", "name": "Blue", "weight": 2.0}
USER = {"id": "user_1", "name": "Ada", "email": "a@b.org", "enabled": True}
KEY = {"id": "key_1", "name": "ci", "scopes": ["runs:read"], "token": "rw_secret"}


def event(seq: int, type: str, **data: Any) -> dict[str, Any]:
    return {"seq": seq, "type": type, "data": data, "message": f"event {seq}", "created_at": "2026-01-01T00:00:00Z"}


LOG = [event(1, "run.created"), event(2, "run.started"), event(3, "run.progress", percent=40), event(4, "log")]


def sse(events: list[dict[str, Any]], *, cut: bool = False) -> Answer:
    body = b"".join(b"id: %d\ndata: %b\n\n" % (each["seq"], msgspec.json.encode(each)) for each in events)
    return Answer(200, body, {"content-type": "text/event-stream"}, cut)


def test_a_list_is_columns_in_a_pipe_and_json_for_programs(call_server: Call, script: Script):
    script.on("GET", "/v1/runs", json_answer([RUN]))
    plain = call_server("runs", "list", "--status", "completed", "--status", "failed", "--tag", "env=a", "--limit", "5")
    assert plain.code == 0
    assert [line.split()[:3] for line in plain.out.splitlines()] == [
        ["ID", "STATUS", "JOB"],
        ["run_1", "completed", "job_1"],
    ]
    assert script.requests[0].query == [
        ("status", "completed"),
        ("status", "failed"),
        ("tags[env]", "a"),
        ("limit", "5"),
    ]
    assert script.requests[0].headers["authorization"] == "Bearer rw_key"
    assert call_server("runs", "list", "--json").json() == [RUN]


def test_a_list_on_a_terminal_is_a_table(call_server: Call, script: Script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    script.on("GET", "/v1/runs", json_answer([RUN]))
    assert "\x1b[" in call_server("runs", "list").out


def test_texts_of_jobs_cannot_drive_the_terminal(call_server: Call, script: Script):
    script.on("GET", "/v1/runs", json_answer([{**RUN, "error_class": "\x1b[2Jgone\nx"}]))
    script.on("GET", "/v1/runs/run_1", json_answer({**RUN, "error": "\x1b]0;title\x07"}))
    assert "\x1b" not in call_server("runs", "list").out
    assert "\x1b" not in call_server("runs", "get", "run_1").out


@pytest.mark.parametrize(
    ("tokens", "method", "path", "body", "answer"),
    [
        ("runs get run_1", "GET", "/v1/runs/run_1", None, RUN),
        ("runs cancel run_1 --reason x", "POST", "/v1/runs/run_1:cancel", {"reason": "x"}, RUN),
        ("runs pause run_1", "POST", "/v1/runs/run_1/pause", None, RUN),
        ("runs resume run_1", "POST", "/v1/runs/run_1/resume", None, RUN),
        ("runs restart run_1 --preset micro", "POST", "/v1/runs/run_1/restart", {"preset": "micro"}, RUN),
        ("runs replay run_1 --force", "POST", "/v1/runs/run_1/replay", {"force": True}, RUN),
        ("jobs get greet", "GET", "/v1/jobs/greet", None, JOB),
        (
            "jobs create greet --max-attempts 5 --retry-delays-secs 1 --retry-delays-secs 2 --tag a=b --project p",
            "POST",
            "/v1/jobs",
            {
                "slug": "greet",
                "name": "greet",
                "project_id": "p",
                "max_attempts": 5,
                "retry_delays_secs": [1, 2],
                "tags": {"a": "b"},
            },
            JOB,
        ),
        (
            "jobs create hook --endpoint https://a.example/ --fallback-endpoint https://b.example/ --retry-on 404",
            "POST",
            "/v1/jobs",
            {
                "slug": "hook",
                "name": "hook",
                "execution_mode": "http",
                "endpoint_url": "https://a.example/",
                "fallback_endpoint_url": "https://b.example/",
                "retry_on": [404],
            },
            JOB,
        ),
        (
            "jobs update hook --heartbeat-timeout-secs 5 --clear fallback-endpoint-url",
            "PATCH",
            "/v1/jobs/hook",
            {"heartbeat_timeout_secs": 5, "fallback_endpoint_url": None},
            JOB,
        ),
        (
            "jobs rotate-secret hook --grace-secs 60",
            "POST",
            "/v1/jobs/hook/rotate-secret",
            {"grace_secs": 60},
            {"id": "job_1", "job_id": "job_1", "signing_secret": "whsec_x", "previous_expires_at": None},
        ),
        (
            "jobs update greet --disabled --clear max-concurrency",
            "PATCH",
            "/v1/jobs/greet",
            {"enabled": False, "max_concurrency": None},
            JOB,
        ),
        (
            "trigger greet --tag a=b --at 2030-01-01T00:00:00 --max-attempts 2 --dry-run",
            "POST",
            "/v1/jobs/greet/trigger",
            {"tags": {"a": "b"}, "scheduled_at": "2030-01-01T00:00:00Z", "max_attempts_override": 2, "dry_run": True},
            RUN,
        ),
        (
            "keys create ci --scope runs:read --expires-at 2030-01-01T00:00:00Z",
            "POST",
            "/v1/keys",
            {"name": "ci", "scopes": ["runs:read"], "expires_at": "2030-01-01T00:00:00Z"},
            KEY,
        ),
        (
            "keys create ci --scope runs:read --user user_1",
            "POST",
            "/v1/keys",
            {"name": "ci", "scopes": ["runs:read"], "user_id": "user_1"},
            KEY,
        ),
        ("keys get key_1", "GET", "/v1/keys/key_1", None, KEY),
        (
            "trigger greet --retry-backoff fixed --retry-initial-delay-secs 1 --parent run_0",
            "POST",
            "/v1/jobs/greet/trigger",
            {"retry_backoff": "fixed", "retry_initial_delay_secs": 1, "parent_run_id": "run_0"},
            RUN,
        ),
        ("runs effects run_1", "GET", "/v1/runs/run_1/effects", None, {"id": "run_1", "safe_to_resume": True}),
        ("orgs get default", "GET", "/v1/organizations/default", None, ORG),
        ("orgs create acme --name Acme", "POST", "/v1/organizations", {"slug": "acme", "name": "Acme"}, ORG),
        ("orgs update acme --name Acme", "PATCH", "/v1/organizations/acme", {"name": "Acme"}, ORG),
        ("projects get blue", "GET", "/v1/projects/blue", None, PROJECT),
        ("projects create blue --weight 2", "POST", "/v1/projects", {"slug": "blue", "weight": 2}, PROJECT),
        ("projects update blue --unlimited", "PATCH", "/v1/projects/blue", {"max_concurrency": None}, PROJECT),
        ("users get user_1", "GET", "/v1/users/user_1", None, USER),
        ("users create Ada --email a@b.org", "POST", "/v1/users", {"name": "Ada", "email": "a@b.org"}, USER),
        ("users update user_1 --disabled --yes", "PATCH", "/v1/users/user_1", {"enabled": False}, USER),
        ("keys rotate key_1 --grace-s 60", "POST", "/v1/keys/key_1/rotate", {"grace_s": 60}, KEY),
    ],
)
def test_each_command_is_its_request(call_server: Call, script: Script, tokens, method, path, body, answer):
    script.on("GET", "/v1/runs/run_1", json_answer(RUN))  # a cancel reads the run afterwards
    script.on(method, path, json_answer(answer))
    plain = call_server(*tokens.split())
    assert (plain.code, plain.err.count("error")) == (0, 0)
    assert answer["id"] in plain.out
    request = script.requests[0]
    assert (request.method, request.path) == (method, path)
    assert (request.json() if request.body else None) == body
    assert call_server(*tokens.split(), "--json").json() == answer


@pytest.mark.parametrize(
    ("tokens", "path", "answer"),
    [
        ("jobs delete greet --yes", "/v1/jobs/greet", {"deleted": "greet"}),
        ("keys revoke key_1 --yes", "/v1/keys/key_1", KEY),
    ],
)
def test_what_is_gone_is_named(call_server: Call, script: Script, tokens, path, answer):
    script.on("DELETE", path, json_answer(KEY) if path == "/v1/keys/key_1" else Answer(204))
    assert call_server(*tokens.split()).code == 0
    assert call_server(*tokens.split(), "--json").json() == answer


class Typist(io.StringIO):
    """A person at the keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("tokens", "path", "thing"),
    [("jobs delete greet", "/v1/jobs/greet", JOB), ("keys revoke key_1", "/v1/keys/key_1", KEY)],
)
def test_what_cannot_be_undone_is_shown_and_asked_for(
    call_server: Call, script: Script, monkeypatch: pytest.MonkeyPatch, tokens, path, thing
):
    script.on("GET", path, json_answer(thing))
    script.on("DELETE", path, json_answer(thing))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    alone = call_server(*tokens.split())
    assert (alone.code, "--yes" in alone.err) == (2, True), "there is nobody to ask"
    for answer, code in (("n", 1), ("", 1), ("y", 0), ("YES", 0)):
        script.requests.clear()
        monkeypatch.setattr(sys, "stdin", Typist(f"{answer}\n"))
        asked = call_server(*tokens.split())
        assert asked.code == code
        assert thing["id"] in asked.err
        assert ("DELETE" in [request.method for request in script.requests]) == (code == 0)


RECORD = {"attempt": 1, "sequence": 1, "output_key": "total", "value": {"n": 1}, "number": 1}


@pytest.mark.parametrize(
    ("tokens", "path", "row"),
    [
        ("jobs list", "/v1/jobs", JOB),
        ("jobs versions greet", "/v1/jobs/greet/versions", JOB),
        ("keys list", "/v1/keys", KEY),
        ("orgs list", "/v1/organizations", ORG),
        ("projects list", "/v1/projects", PROJECT),
        ("users list", "/v1/users", USER),
        ("runs attempts run_1", "/v1/runs/run_1/attempts", RECORD),
        ("runs children run_1", "/v1/runs/run_1/children", RUN),
        ("runs checkpoints run_1", "/v1/runs/run_1/checkpoints", RECORD),
        ("runs outputs run_1", "/v1/runs/run_1/outputs", RECORD),
    ],
)
def test_lists_are_rows_for_people_and_arrays_for_programs(call_server: Call, script: Script, tokens, path, row):
    script.on("GET", path, json_answer([row, row]))
    assert len(call_server(*tokens.split()).out.splitlines()) == 3
    assert call_server(*tokens.split(), "--json").json() == [row, row]
    assert len(call_server(*tokens.split(), "--limit", "1").out.splitlines()) == 2


def test_every_filter_of_runs_can_be_given(call_server: Call, script: Script):
    script.on("GET", "/v1/runs", json_answer([]))
    script.on("GET", "/v1/jobs/greet", json_answer(JOB))
    at = "2026-01-01T00:00:00Z"
    given = (
        "--project p --job greet --status failed --state failed --kind all --triggered-by retry --tag a=b --tag c "
        "--metadata d=e --batch batch_1 --parent run_0 --concurrency-key k --error-class E --execution-mode worker "
        f"--created-after {at} --created-before {at} --finished-after {at} --finished-before {at} --oldest-first"
    )
    assert call_server("runs", "list", *given.split(), "--payload-contains", '{"n": 1}').code == 0
    assert call_server("runs", "list", "--tag", "a", "--tag", "b").code == 2
    query = dict(script.requests[-1].query)
    instants = {query.pop(f"{name}_{end}") for name in ("created", "finished") for end in ("after", "before")}
    assert instants == {"2026-01-01T00:00:00+00:00"}
    assert query == {
        "project_id": "p", "job_id": "job_1", "status": "failed", "state": "failed", "kind": "all",
        "triggered_by": "retry", "tags[a]": "b", "tag_key": "c", "metadata[d]": "e", "payload_contains": '{"n":1}',
        "batch_id": "batch_1", "parent_run_id": "run_0", "concurrency_key": "k", "error_class": "E",
        "execution_mode": "worker", "order": "asc", "limit": "50",
    }  # fmt: skip


def test_who_is_asking_and_the_schemas_of_events_are_shown(call_server: Call, script: Script):
    me = {"actor": "user:1", "kind": "user", "scopes": ["admin"], "organization": ORG, "user": USER, "key": KEY}
    script.on("GET", "/v1/me", json_answer(me))
    script.on("GET", "/v1/schemas/events", json_answer({"log": {"type": "object"}, "run.created": {}}))
    assert "acme (org_1)" in call_server("me").out
    assert call_server("me", "--json").json() == me
    assert call_server("schemas", "log").json() == {"log": {"type": "object"}}
    assert len(call_server("schemas").json()) == 2


def test_a_payload_comes_from_the_line_a_file_or_standard_input(
    call_server: Call, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script.on("POST", "/v1/jobs/greet/trigger", json_answer(RUN, 201))
    (tmp_path / "payload.json").write_text('{"n": 2}')
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 3}'))
    for source in ('{"n": 1}', f"@{tmp_path / 'payload.json'}", "-"):
        assert call_server("trigger", "greet", "-p", source).code == 0
    assert [request.json()["payload"]["n"] for request in script.requests] == [1, 2, 3]


def test_usage_is_columns_that_mark_a_cost_which_leaves_calls_out(call_server: Call, script: Script):
    counts = {"calls": 3, "input_tokens": 200, "cached_tokens": 50, "output_tokens": 20, "cache_hit_rate": 0.25}
    cost = {"total_cost_usd": 0.0125, "credits_used": 13, "unpriced_calls": 1}
    row = {"id": "model:openai/big", "provider": "openai", "model": "big", **counts, **cost}
    script.on("GET", "/v1/usage", json_answer([row]))
    plain = call_server("usage", "--by", "model", "--since", "2026-01-01T00:00:00Z")
    assert plain.out.splitlines()[1].split() == [
        "openai",
        "big",
        "3",
        "200",
        "50",
        "20",
        "≥",
        "$0.012500",
        "13",
        "25.0%",
    ]
    assert "leaves out calls" in plain.err
    asked = dict(script.requests[0].query)
    assert (asked["by"], asked["since"][:10]) == ("model", "2026-01-01")
    assert call_server("usage", "--json").json() == [row]


@pytest.mark.parametrize(
    "tokens",
    [
        "runz",
        "runs lost",
        "runs get",
        "runs cancel",
        "runs list --limit many",
        "runs list --tag =blue",
        "jobs update greet",
        "jobs update greet --clear slug",
        "jobs create greet --retry-strategy sometimes",
        "trigger greet -p {",
        "trigger greet -p [1]",
        "trigger greet -p @/no/such/file",
        "trigger greet --at noon",
        "trigger greet --bulk /no/such/file",
        "trigger greet --bulk - --watch",
        "keys create ci",
        "budgets set day much",
        "budgets set day 0.0000001",
        "budgets set day -1",
        "usage --by hour",
        "usage --since yesterday",
        "--what",
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(call_server: Call, script: Script, tokens):
    ended = call_server(*tokens.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert script.requests == []


@pytest.mark.parametrize("tokens", ["", "runs", "jobs", "keys", "--help", "trigger --help"])
def test_help_is_shown_without_a_server(call: Call, tokens):
    ended = call(*tokens.split())
    assert ended.code == 0
    assert "Usage: runwright" in ended.out
    assert "Exit codes:" in ended.out


def test_help_tells_what_a_command_does_its_arguments_and_an_example(call: Call):
    told = " ".join(call("runs", "attempts", "--help").out.split())
    assert "oldest first" in told
    assert "Id of the run" in told
    assert "runwright runs attempts RUN" in told


def commands(group: App, *path: str) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command with the words that call it."""
    for name in group:
        if not name.startswith("-"):
            command = group[name]
            if command.default_command is None:
                yield from commands(command, *path, name)
            else:
                yield (*path, name), command


def test_the_help_of_every_command_has_an_example_that_is_right():
    wrong = {}
    for path, command in commands(app):
        whole(app, path)
        examples = re.findall(r"Example: `(?:[^`]*\| )?(runwright [^`]*)`", command.help)
        if not examples:
            wrong[path] = "has none"
        for example in examples:
            words = shlex.split(example)[1:]
            assert words[: len(path)] == list(path)
            called, _, unused = app.parse_known_args(words)[:3]
            if called is not command.default_command or unused:
                wrong[path] = example
    assert wrong == {}


def test_a_mistyped_command_is_guessed(call: Call):
    assert "Did you mean `runs`?" in call("run", "list").err


def test_an_error_of_the_server_is_told_with_what_to_do(call_server: Call):
    ended = call_server("runs", "get", "run_9")
    assert (ended.code, ended.out) == (1, "")
    assert "There is no run. [runs.not_found]" in ended.err
    assert "runwright runs list" in ended.err
    told = msgspec.json.decode(call_server("runs", "get", "run_9", "--json").err)
    assert told["error"]["code"] == "runs.not_found"


def test_verbs_on_many_runs_tell_each_and_fail_if_one_was_refused(call_server: Call, script: Script):
    script.on("POST", "/v1/runs/run_1:cancel", json_answer({"ok": True}))
    script.on("GET", "/v1/runs/run_1", json_answer(RUN))
    ended = call_server("runs", "cancel", "run_9", "run_1")
    assert ended.code == 1
    assert "run_9" in ended.err
    assert "run_1" in ended.out
    told = call_server("runs", "cancel", "run_9", "run_1", "--json").json()
    assert [item["id"] for item in told] == ["run_9", "run_1"]


def test_a_server_that_is_not_there_is_told(call: Call):
    ended = call("runs", "list", "--url", dead_url())
    assert ended.code == 1
    assert "runwright serve" in ended.err


@pytest.mark.parametrize(
    ("state", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3), ("expired", 4), ("paused", 1)]
)
def test_watch_shows_the_events_and_exits_as_the_run_ended(call_server: Call, script: Script, state, code):
    last = event(5, f"run.{state}" if state != "paused" else "run.failed")
    script.on("GET", "/v1/runs/run_1/stream", sse([*LOG, last]))
    script.on("GET", "/v1/runs/run_1", json_answer({**RUN, "status": state, "state": state, "result": {"n": 1}}))
    plain = call_server("runs", "watch", "run_1")
    assert plain.code == code
    assert [line.split()[1] for line in plain.out.splitlines()[:5]] == ["1", "2", "3", "4", "5"]
    assert f"status    {state}" in plain.out
    lines = call_server("runs", "watch", "run_1", "--json")
    assert lines.code == code
    assert lines.lines() == [*LOG, last]


def test_watch_comes_back_after_cuts_and_refusals(call_server: Call, script: Script):
    last = event(5, "run.completed")

    def answers() -> Iterator[Answer]:
        yield sse(LOG[:2], cut=True)
        yield problem(503, "server.overloaded", retry_after="0")
        yield sse(LOG[2:], cut=True)
        yield sse([last])

    script_answers = answers()
    script.on("GET", "/v1/runs/run_1/stream", lambda _: next(script_answers))
    script.on("GET", "/v1/runs/run_1", json_answer(RUN))
    ended = call_server("runs", "watch", "run_1", "--json")
    assert ended.code == 0
    assert ended.lines() == [*LOG, last]


def test_watch_on_a_terminal_has_a_progress_bar(call_server: Call, script: Script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    script.on("GET", "/v1/runs/run_1/stream", sse([*LOG, event(5, "run.completed")]))
    script.on("GET", "/v1/runs/run_1", json_answer(RUN))
    out = call_server("runs", "watch", "run_1").out
    assert "40%" in out
    assert "run.progress" not in out


def test_trigger_watch_follows_the_run(call_server: Call, script: Script):
    script.on("POST", "/v1/jobs/greet/trigger", json_answer(RUN, 201))
    script.on("GET", "/v1/runs/run_1/stream", sse([event(1, "run.failed")]))
    script.on("GET", "/v1/runs/run_1", json_answer({**RUN, "status": "dead_letter", "state": "failed"}))
    assert call_server("trigger", "greet", "--watch").code == 1


def test_a_bulk_trigger_is_sent_in_requests_of_a_thousand(call_server: Call, script: Script, tmp_path: Path):
    def respond(request: Request) -> Answer:
        items = request.json()["items"]
        results: list[dict[str, Any]] = [{"id": f"run_{item['payload']['n']}", "status": "queued"} for item in items]
        results[-1] = {"id": None, "error": "no"}
        return json_answer({"results": results, "batch_id": "batch_1"})

    script.on("POST", "/v1/jobs/greet/trigger/bulk", respond)
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join(f'{{"payload": {{"n": {n}}}}}' for n in range(2500)) + "\n\n")
    ended = call_server("trigger", "greet", "--bulk", str(file), "--tag", "a=b")
    assert ended.code == 1
    assert "2497 triggered, 3 refused" in ended.out
    assert [len(request.json()["items"]) for request in script.requests] == [1000, 1000, 500]
    assert script.requests[0].json()["items"][0] == {"tags": {"a": "b"}, "payload": {"n": 0}}
    assert call_server("trigger", "greet", "--bulk", str(file), "--json").json()["failed"] == 3


def test_events_are_listed_up_to_a_limit(call_server: Call, script: Script):
    script.on("GET", "/v1/runs/run_1/events", json_answer(LOG))
    ended = call_server("runs", "events", "run_1", "--limit", "2")
    assert len(ended.out.splitlines()) == 2
    assert "--after-seq 2" in ended.err
    assert call_server("runs", "events", "run_1", "--json").lines() == LOG


def test_the_version_is_printed(call: Call):
    assert call("version").out.startswith("runwright ")
    assert set(call("version", "--json").json()) == {"version", "python"}


def test_credentials_of_the_data_directory_are_used_and_sent_nowhere_else(
    call: Call, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script.on("GET", "/v1/runs", json_answer([]))
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    kept = data_dir / "credentials.json"
    kept.write_bytes(msgspec.json.encode({"url": script.server.url, "api_key": "rw_kept"}))
    assert call("runs", "list").code == 0
    assert script.requests[0].headers["authorization"] == "Bearer rw_kept"
    kept.write_bytes(msgspec.json.encode({"url": "http://localhost:1", "api_key": "rw_kept"}))
    assert call("runs", "list", "--url", script.server.url).code == 0
    assert "authorization" not in script.requests[1].headers
    monkeypatch.setenv("RUNWRIGHT_URL", script.server.url)
    monkeypatch.setenv("RUNWRIGHT_API_KEY", "rw_env")
    assert call("runs", "list").code == 0
    assert script.requests[2].headers["authorization"] == "Bearer rw_env"
    kept.write_text("{")
    monkeypatch.delenv("RUNWRIGHT_API_KEY")
    assert "credentials.json cannot be read" in call("runs", "list").err


def test_an_address_that_cannot_be_is_told(call: Call):
    ended = call("runs", "list", "--url", "http://[::1", "--api-key", "rw_key")
    assert ended.code == 1
    assert "is not the address of a server" in ended.err
