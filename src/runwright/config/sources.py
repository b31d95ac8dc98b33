"""Where settings come from, and what they must be together.

Strongest first: the command line (`overrides`), the environment (`RUNWRIGHT_<NAME>`; an empty value counts as not
given), the TOML file that `RUNWRIGHT_CONFIG` names, the default. All values are checked at boot, all wrong ones are
reported together, and no message repeats a secret.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runwright.config.setting import PREFIX
from runwright.config.table import SETTINGS, Settings
from runwright.config.values import read
from runwright.domain.usage_pruning import LEAST_DAYS
from runwright.errors import FieldError, InvalidSettings


def load(
    env: Mapping[str, str],
    toml_path: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    without: str | None = None,
) -> Settings:
    """Build the settings of this process, or raise `InvalidSettings` naming every wrong value.

    `overrides` come from the command line; a None among them counts as not given. Settings whose names begin with
    `without` are as if nobody had given them.
    """
    problems: list[FieldError] = []
    given = _of_file(toml_path or env.get(PREFIX + "CONFIG"), problems)
    given |= _of_environment(env, problems)
    given |= {
        name: (f"--{name.replace('_', '-')}", value) for name, value in (overrides or {}).items() if value is not None
    }
    values: dict[str, Any] = {}
    known = {setting.name: setting for setting in SETTINGS}
    for name, (source, value) in given.items():
        if without is not None and name.startswith(without):
            continue
        if name not in known:
            problems.append(FieldError(source, "is not a setting" + _suggestion(name)))
            continue
        try:
            values[name] = read(known[name], value)
        except ValueError as wrong:
            shown = "" if known[name].secret else f", not {value!r}"
            problems.append(FieldError(source, f"must be {wrong}{shown}"))
    if not problems:
        settings = Settings(**values)
        problems = _contradictions(settings)
        if not problems:
            return settings
    raise InvalidSettings(fields=problems)


def _of_file(path: Path | str | None, problems: list[FieldError]) -> dict[str, tuple[str, Any]]:
    if not path:
        return {}
    try:
        with Path(path).expanduser().open("rb") as file:
            return {name: (f"{path}: {name}", value) for name, value in tomllib.load(file).items()}
    except OSError as failure:
        problems.append(FieldError(str(path), f"cannot be read: {failure.strerror}"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        problems.append(FieldError(str(path), f"is not TOML: {failure}"))
    return {}


def _of_environment(env: Mapping[str, str], problems: list[FieldError]) -> dict[str, tuple[str, Any]]:
    names = {setting.env: setting.name for setting in SETTINGS}
    for variable, value in env.items():
        # Others own RUNWRIGHT_* names too (Kubernetes, of a service of this name): only a near miss is a mistake.
        if value and variable.startswith(PREFIX) and variable not in names:
            near = _suggestion(variable.removeprefix(PREFIX).lower())
            if near:
                problems.append(FieldError(variable, "is not a setting" + near))
    return {name: (variable, env[variable]) for variable, name in names.items() if env.get(variable)}


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, [setting.name for setting in SETTINGS], n=1, cutoff=0.87)
    return f"; did you mean {near[0]}?" if near else ""


_SEAL_BYTES = 512
"""So many bytes at most come with the seal of an artifact."""

# The value of the first is at most the value of the second.
_ORDERED = (
    ("heartbeat_s", "lease_s"),
    ("page_default", "page_max"),
    ("page_max", "scan_budget"),
    ("body_max_bytes", "bulk_body_max_bytes"),
    ("emit_flush_bytes", "emit_buffer_max_bytes"),
    ("value_inline_max_bytes", "artifact_max_bytes"),
)


def _contradictions(settings: Settings) -> list[FieldError]:
    return [
        FieldError(less, f"must not be more than {more}")
        for less, more in _ORDERED
        if getattr(settings, less) > getattr(settings, more)
    ] + [
        *_of_snapshots(settings),
        *_of_database(settings),
        *_of_oidc(settings),
        *_of_retention(settings),
        *_of_usage(settings),
    ]


def _of_snapshots(settings: Settings) -> list[FieldError]:
    """A workspace is kept as an artifact, in base64: one that is allowed must fit."""
    most = archive_max_bytes(settings.artifact_max_bytes)
    sizes = {name: getattr(settings, name) for name in ("agent_workspace_max_bytes", "runtime_workspace_max_bytes")}
    return [
        FieldError(
            name,
            f"must not be more than {max(most, 0)}, or artifact_max_bytes ({PREFIX}ARTIFACT_MAX_BYTES) not less than"
            f" {-(-size // 3) * 4 + _SEAL_BYTES}: what a workspace holds is kept as an artifact, in base64",
        )
        for name, size in sizes.items()
        if size > most
    ]


def archive_max_bytes(artifact_max_bytes: int) -> int:
    """Return how large an archive is that an artifact has room for: it is in base64 there, and sealed."""
    return (artifact_max_bytes - _SEAL_BYTES) // 4 * 3


def _of_retention(settings: Settings) -> list[FieldError]:
    days, summary_days = settings.retention_days, settings.summary_retention_days
    if not summary_days or 0 < days <= summary_days:
        return []
    wrong = "must be at least retention_days" if days else "means nothing without retention_days"
    return [FieldError("summary_retention_days", wrong)]


def _of_usage(settings: Settings) -> list[FieldError]:
    wrong = 0 < settings.usage_retention_days < LEAST_DAYS
    told = f"must be at least {LEAST_DAYS}, for reports reach back 30 days; 0 keeps records for ever"
    return [FieldError("usage_retention_days", told)] if wrong else []


def _of_database(settings: Settings) -> list[FieldError]:
    if settings.database_url is None and settings.database_listen_url is not None:
        return [FieldError("database_listen_url", "means nothing without database_url")]
    if settings.database_url is None or settings.master_key is not None:
        return []
    return [
        FieldError("master_key", f"is needed with database_url ({PREFIX}MASTER_KEY): every server must have the same")
    ]


def _of_oidc(settings: Settings) -> list[FieldError]:
    if settings.oidc_issuer is None:
        alone = ("oidc_audience", "oidc_jwks", "oidc_role_claim", "oidc_roles", "oidc_provision")
        return [FieldError(name, "means nothing without oidc_issuer") for name in alone if getattr(settings, name)]
    problems = []
    if settings.oidc_audience is None:
        problems.append(FieldError("oidc_audience", "is needed with oidc_issuer: or tokens for others would be taken"))
    for name in ("oidc_issuer", "oidc_jwks"):
        given = getattr(settings, name)
        if given is not None and (name == "oidc_issuer" or "://" in given) and not is_safe_url(given):
            problems.append(FieldError(name, "must be an https address (http only to this machine)"))
    if (settings.oidc_role_claim is None) != (not settings.oidc_roles):
        problems.append(FieldError("oidc_role_claim", "and oidc_roles mean nothing without each other"))
    if settings.oidc_provision and not settings.oidc_roles:
        problems.append(FieldError("oidc_provision", "needs oidc_role_claim and oidc_roles: a user has a role"))
    return problems


def is_safe_url(url: str) -> bool:
    """Tell whether nobody between here and there can change what an address answers."""
    parts = urlsplit(url)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and here))
