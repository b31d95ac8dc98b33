"""`runwright doctor` finds what is wrong, and says what to do."""

import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Ended, Script
from tests.client.local_server import dead_url, json_answer, problem
from tests.postgres import empty_database, execute, rows, secured_database


def levels(ended: Ended) -> dict[str, str]:
    return {check["name"]: check["level"] for check in ended.json()}


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch, call: Call) -> int:
    """Look at a port that nobody uses, not at the one of a server that may run on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    monkeypatch.setenv("RUNWRIGHT_PORT", str(port))
    monkeypatch.setattr("runwright.cli.connection.DEFAULT_URL", dead_url())
    return port


def test_a_fit_machine_without_a_server_is_well(call: Call):
    ended = call("doctor", "--json")
    assert ended.code == 0
    assert levels(ended) == {
        "python": "ok",
        "sqlite": "ok",
        "clock": "ok",
        "settings": "ok",
        "data directory": "ok",
        "disk": "ok",
        "sandbox": "ok",
        "scanners": "ok",
        "local model": "ok",
        "server": "warn",
        "port": "ok",
    }
    plain = call("doctor")
    assert "warn: server: Start one with `runwright serve`." in plain.out


def test_a_machine_without_a_sandbox_is_well_unless_it_is_to_run_processes(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_PROCESS_PATHS", "/no/such/directory")
    ended = call("doctor", "--json")
    assert (ended.code, levels(ended)["sandbox"]) == (0, "warn")
    monkeypatch.setenv("RUNWRIGHT_PROCESS_SLOTS", "1")
    ended = call("doctor", "--json")
    assert (ended.code, levels(ended)["sandbox"]) == (1, "fail")
    assert "/no/such/directory is no directory" in ended.out


def test_the_scanners_that_run_here_are_listed_and_one_that_is_wanted_and_missing_is_worth_a_word(
    call: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RUNWRIGHT_SCANNERS", "ruff,semgrep")
    ended = call("doctor", "--json")
    assert (ended.code, levels(ended)["scanners"]) == (0, "warn")
    (said,) = [check["finding"] for check in ended.json() if check["name"] == "scanners"]
    assert said.startswith("secrets, repository, ruff, ruff_lint, bandit, zizmor, ast_grep run here")
    assert "semgrep: semgrep is not installed on this server" in said
    monkeypatch.setenv("RUNWRIGHT_PROCESS_PATHS", "/no/such/directory")
    (said,) = [check["finding"] for check in call("doctor", "--json").json() if check["name"] == "scanners"]
    assert "ruff: no sandbox works here" in said


def test_a_model_that_is_not_installed_is_worth_a_word(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_LOCAL_MODEL_PATH", "/no/such/model.gguf")
    ended = call("doctor", "--json")
    assert (ended.code, levels(ended)["local model"]) == (0, "warn")
    assert "/no/such/model.gguf" in ended.out


def test_a_server_that_is_well_is_well(call_server: Call, script: Script):
    script.on("GET", "/healthz", json_answer({"status": "ok", "version": "0.0.1"}))
    script.on("GET", "/v1/me", json_answer({"scopes": ["admin"]}))
    ended = call_server("doctor", "--json")
    assert ended.code == 0
    found = levels(ended)
    assert (found["server"], found["key"]) == ("warn", "ok"), "another version is worth a word"


def test_a_wrong_key_is_found(call_server: Call, script: Script):
    script.on("GET", "/healthz", json_answer({"status": "ok"}))
    script.on("GET", "/v1/me", problem(401, "auth.unauthenticated"))
    ended = call_server("doctor", "--json")
    assert ended.code == 1
    assert levels(ended)["key"] == "fail"


def test_a_server_that_was_named_should_be_there(call: Call):
    ended = call("doctor", "--json", "--url", dead_url())
    assert ended.code == 1
    assert levels(ended)["server"] == "fail"


def test_a_taken_port_is_found(call: Call, free_port: int):
    with socket.create_server(("127.0.0.1", free_port)):
        ended = call("doctor", "--json")
    assert ended.code == 1
    assert levels(ended)["port"] == "fail"


def test_wrong_settings_are_found(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNWRIGHT_LEASE_S", "soon")
    ended = call("doctor", "--json")
    assert ended.code == 1
    assert levels(ended)["settings"] == "fail"
    assert "RUNWRIGHT_LEASE_S" in ended.out


def test_a_data_directory_that_is_none_is_found(call: Call, tmp_path: Path):
    (tmp_path / "file").write_text("")
    ended = call("doctor", "--json", "--data-dir", str(tmp_path / "file"))
    assert ended.code == 1
    assert levels(ended)["data directory"] == "fail"


def test_a_postgresql_is_looked_at_with_its_row_level_security(call: Call, monkeypatch: pytest.MonkeyPatch):
    def finding() -> tuple[str, str]:
        (check,) = [check for check in call("doctor", "--json").json() if check["name"] == "database"]
        return check["level"], check["finding"]

    monkeypatch.setenv("RUNWRIGHT_MASTER_KEY", "ab" * 32)
    with secured_database() as (superuser, _):
        monkeypatch.setenv("RUNWRIGHT_DATABASE_URL", superuser)
        level, told = finding()
        assert (level, "row-level security on" in told) == ("fail", True), "no server would start"
        monkeypatch.setenv("RUNWRIGHT_DATABASE_ROW_SECURITY", "true")
        assert finding()[0] == "ok"
        off = call("db", "upgrade", "--no-row-security", "--json")
        assert off.json() == {"applied": [], "row_security": "off"}
        assert finding() == ("fail", told.replace("security on", "security off"))
        assert call("db", "status", "--json").json()["pending"] == ["row-level security"]
        assert call("db", "upgrade", "--json").json()["row_security"] == "on"
        assert finding()[0] == "ok"
        monkeypatch.setenv("RUNWRIGHT_DATABASE_ROW_SECURITY", "false")
        assert call("db", "upgrade").out == "nothing to do\n", "it stays on until somebody says otherwise"
        assert call("db", "status", "--json").json()["row_security"] == "on"
        monkeypatch.setenv("RUNWRIGHT_DATABASE_ROW_SECURITY", "true")
        execute(superuser, "INSERT INTO keyring VALUES ('master', 'another', 0)")
        level, told = finding()
        assert (level, "another master key" in told) == ("fail", True)
    monkeypatch.setenv("RUNWRIGHT_DATABASE_URL", f"postgresql://127.0.0.1:{dead_port()}/nothing")
    assert finding()[0] == "fail"


def dead_port() -> int:
    return int(dead_url().rpartition(":")[2])


def test_an_upgrade_tells_which_months_it_made_and_fails_where_it_could_not(
    call: Call, monkeypatch: pytest.MonkeyPatch
):
    with empty_database() as url:
        monkeypatch.setenv("RUNWRIGHT_DATABASE_URL", url)
        first = call("db", "upgrade")
        assert (first.code, "made the months " in first.err) == (0, True)
        assert call("db", "upgrade").out == "nothing to do\n"
        for (month,) in rows(url, "SELECT relname FROM pg_class WHERE relispartition AND relname ~ '^runs_2[0-9_]*$'"):
            execute(url, f"DROP TABLE {month}")
        execute(url, REFUSE)
        refused = call("db", "upgrade")
        assert (refused.code, "could not be made" in refused.err, "not now" in refused.err) == (1, True, True)


REFUSE = """
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not now'; END$$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()
"""
