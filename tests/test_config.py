"""Settings are one table: each has a range that holds, a source that wins, and a message that says what is wrong."""

import dataclasses
from pathlib import Path

import pytest

from runwright.config import SETTINGS, Settings, load
from runwright.errors import InvalidSettings


def faults(env: dict[str, str], toml: Path | None = None, **overrides: object) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as refused:
        load(env, toml, overrides)
    return {field.path: field.message for field in refused.value.fields}


def test_without_anything_given_every_setting_has_its_default():
    settings = load({})
    for setting in SETTINGS:
        if setting.name not in ("data_dir", "process_dir"):
            assert getattr(settings, setting.name) == setting.default
    assert settings.data_dir.name == "runwright"


def test_the_table_describes_every_setting_once():
    described, known = [each.name for each in SETTINGS], [each.name for each in dataclasses.fields(Settings)]
    assert sorted(described) == sorted(known)
    assert all(setting.help and setting.env == f"RUNWRIGHT_{setting.name.upper()}" for setting in SETTINGS)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path):
    file = tmp_path / "runwright.toml"
    file.write_text('port = 1000\nslots = 7\nlease_s = 20\nworker = ["a.b:c"]\n')
    env = {"RUNWRIGHT_CONFIG": str(file), "RUNWRIGHT_PORT": "2000", "RUNWRIGHT_SLOTS": "8"}
    settings = load(env, overrides={"port": 3000, "host": None})
    assert (settings.port, settings.slots, settings.lease_s, settings.worker) == (3000, 8, 20.0, ("a.b:c",))
    assert settings.host == "127.0.0.1"


def test_a_file_named_directly_wins_over_the_one_of_the_environment(tmp_path: Path):
    file = tmp_path / "other.toml"
    file.write_text("port = 1\n")
    assert load({"RUNWRIGHT_CONFIG": "/nowhere.toml"}, file).port == 1


def test_an_empty_variable_counts_as_not_given():
    assert load({"RUNWRIGHT_API_KEY": "", "RUNWRIGHT_PORT": ""}).api_key is None


def test_texts_of_the_environment_become_what_they_must_be():
    env = {"RUNWRIGHT_DATA_DIR": "~/x", "RUNWRIGHT_WORKER": "a:b, c.d:e", "RUNWRIGHT_EMIT_FLUSH_MS": "2.5"}
    settings = load(env)
    assert (settings.data_dir, settings.worker, settings.emit_flush_ms) == (Path.home() / "x", ("a:b", "c.d:e"), 2.5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "tcp://10.0.0.1:80", "must be a whole number from 0 to 65535, not 'tcp://10.0.0.1:80'"),
        ("PORT", "65536", "must be a whole number from 0 to 65535, not '65536'"),
        ("SLOTS", "1.5", "must be a whole number from 1 to 100000, not '1.5'"),
        ("LEASE_S", "nan", "must be a number from 0.1 to 3600, not 'nan'"),
        ("LEASE_S", "0", "must be a number from 0.1 to 3600, not '0'"),
        ("LOG_LEVEL", "loud", "must be one of debug, info, warning, error, not 'loud'"),
        ("WORKER", "module", "must be a list of module:app, not 'module'"),
        ("DATA_DIR", "a\0b", "must be a path, not 'a\\x00b'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_it_must_be(name, value, message):
    assert faults({f"RUNWRIGHT_{name}": value}) == {f"RUNWRIGHT_{name}": message}


def test_all_wrong_values_are_told_together_and_secrets_are_not_repeated():
    env = {"RUNWRIGHT_PORT": "x", "RUNWRIGHT_API_KEY": "pass wd!", "RUNWRIGHT_MASTER_KEY": "short"}
    told = faults(env)
    assert set(told) == set(env)
    assert "pass" not in told["RUNWRIGHT_API_KEY"]
    assert "short" not in told["RUNWRIGHT_MASTER_KEY"]


def test_settings_do_not_print_their_secrets():
    settings = load({"RUNWRIGHT_API_KEY": "rw_1234567890abcdef"})
    assert settings.api_key == "rw_1234567890abcdef"
    assert "rw_1234567890abcdef" not in repr(settings)


def test_a_name_that_is_nearly_a_setting_is_a_mistake_and_a_far_one_is_not_ours():
    assert faults({"RUNWRIGHT_LEASES_S": "5"}) == {"RUNWRIGHT_LEASES_S": "is not a setting; did you mean lease_s?"}
    load({"RUNWRIGHT_SERVICE_HOST": "10.0.0.1", "RUNWRIGHT_PORT_8080_TCP": "x", "RUNWRIGHT_URL": "http://x"})


def test_a_file_with_unknown_names_wrong_types_or_broken_text_is_refused(tmp_path: Path):
    file = tmp_path / "a.toml"
    file.write_text('colour = "red"\nport = true\n')
    told = faults({}, file)
    assert told[f"{file}: colour"] == "is not a setting"
    assert told[f"{file}: port"].startswith("must be a whole number")
    file.write_text("port = = 1")
    assert faults({}, file)[str(file)].startswith("is not TOML")
    assert faults({}, tmp_path / "none.toml")[str(tmp_path / "none.toml")].startswith("cannot be read")


def test_settings_that_contradict_each_other_are_refused():
    assert faults({}, lease_s=5, heartbeat_s=6) == {"heartbeat_s": "must not be more than lease_s"}
    (told,) = faults({}, artifact_max_bytes=64 << 20).items()
    assert told[0] == "runtime_workspace_max_bytes"
    assert "must not be more than 50331264, or artifact_max_bytes" in told[1]
    assert "not less than 89479000" in told[1]
    load({}, overrides={"artifact_max_bytes": 89_479_000})
    assert faults({}, page_default=50, page_max=10) == {"page_default": "must not be more than page_max"}


def test_a_database_is_an_address_of_postgresql_and_its_password_is_not_shown():
    assert faults({"RUNWRIGHT_DATABASE_URL": "mysql://root:hunter2@db/x"}) == {
        "RUNWRIGHT_DATABASE_URL": "must be an address like postgresql://user:password@host:5432/database"
    }
    settings = load({"RUNWRIGHT_DATABASE_URL": "postgresql://u:hunter2@db/x", "RUNWRIGHT_MASTER_KEY": "k" * 32})
    assert settings.database_url == "postgresql://u:hunter2@db/x"
    assert "hunter2" not in repr(settings)


def test_servers_that_share_a_database_need_one_master_key():
    message = "is needed with database_url (RUNWRIGHT_MASTER_KEY): every server must have the same"
    assert faults({"RUNWRIGHT_DATABASE_URL": "postgresql://db/x"}) == {"master_key": message}
