"""Statements of environments and secrets."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BindParameter, Integer, bindparam, delete, func, null, or_, select, tuple_, update

from runwright.domain.secrets import EVERYWHERE, Environment, Secret
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.secret_tables import environments, secret_heads, secret_values, secrets
from runwright.store.tables import job_secrets, jobs
from runwright.store.webhook_tables import webhook_subscriptions

_project: BindParameter[str] = bindparam("project_id")
_org: BindParameter[str] = bindparam("org_id")

INSERT_ENVIRONMENT = inserting(environments)
SET_ENVIRONMENT = setting(environments, "environment_id", "name", "description", "variables", "updated_at")
DELETE_ENVIRONMENT = Query(delete(environments).where(environments.c.environment_id == bindparam("row")))
ENVIRONMENT = Query(rows(environments, Environment, environments.c.environment_id == bindparam("environment_id")))
ENVIRONMENT_BY_NAME = Query(
    rows(environments, Environment, environments.c.project_id == _project, environments.c.name == bindparam("name"))
)
ENVIRONMENTS = paging(rows(environments, Environment, environments.c.org_id == _org), environments.c.environment_id)
ENVIRONMENTS_OF_PROJECT = paging(
    rows(environments, Environment, environments.c.project_id == _project), environments.c.environment_id
)

INSERT_SECRET = inserting(secrets)
SET_SECRET = setting(secrets, "secret_id", "version", "updated_at")
DELETE_SECRET = Query(delete(secrets).where(secrets.c.secret_id == bindparam("row")))
SECRET = Query(rows(secrets, Secret, secrets.c.secret_id == bindparam("secret_id")))
SECRET_BY_NAME = Query(
    rows(
        secrets,
        Secret,
        secrets.c.project_id == _project,
        secrets.c.environment_id == bindparam("environment_id"),
        secrets.c.name == bindparam("name"),
    )
)
SECRETS = paging(rows(secrets, Secret, secrets.c.org_id == _org), secrets.c.secret_id)
SECRETS_OF_PROJECT = paging(rows(secrets, Secret, secrets.c.project_id == _project), secrets.c.secret_id)
SECRETS_OF_ENVIRONMENT = paging(
    rows(secrets, Secret, secrets.c.environment_id == bindparam("environment_id")), secrets.c.secret_id
)
IN_ENVIRONMENT = Query(rows(secrets, Secret, secrets.c.environment_id == bindparam("environment_id")))
COUNT = Query(select(func.count()).select_from(secrets).where(secrets.c.project_id == _project))

INSERT_VALUE = inserting(secret_values)
_of_secret = (secret_values.c.project_id == bindparam("row_project")) & (secret_values.c.secret_id == bindparam("row"))
LAST_VALUE = Query(select(func.max(secret_values.c.version)).where(_of_secret))
RETIRE = Query(
    update(secret_values)
    .where(_of_secret, secret_values.c.retired_at.is_(None))
    .values(retired_at=bindparam("retired_at"))
)
ACTIVATE = Query(
    update(secret_values)
    .where(_of_secret, secret_values.c.version == bindparam("row_version"))
    .values(retired_at=null())
)
VALUES = Query(
    select(secret_values.c.secret_id, secret_values.c.version, secret_values.c.sealed).where(
        secret_values.c.project_id == _project
    )
)
FORGET_VALUES = Query(delete(secret_values).where(secret_values.c.retired_at < bindparam("before")))

HEAD = Query(select(secret_heads.c.version).where(secret_heads.c.project_id == _project))
INSERT_HEAD = inserting(secret_heads)
MOVE_HEAD = Query(
    update(secret_heads)
    .where(secret_heads.c.project_id == bindparam("row"))
    .values(version=secret_heads.c.version + 1)
    .returning(secret_heads.c.version)
)

# What an attempt is given: those of the project, and over them those of the environment.
GIVEN = Query(
    select(secrets.c.name, secrets.c.environment_id, secrets.c.secret_id, secrets.c.version, secret_values.c.sealed)
    .join(
        secret_values,
        (secret_values.c.project_id == secrets.c.project_id)
        & (secret_values.c.secret_id == secrets.c.secret_id)
        & (secret_values.c.version == secrets.c.version),
    )
    .where(
        secrets.c.project_id == _project,
        or_(secrets.c.environment_id == EVERYWHERE, secrets.c.environment_id == bindparam("environment_id")),
    )
    .order_by(secrets.c.environment_id)
)

SEALED_VALUES = Query(
    select(secret_values.c.project_id, secret_values.c.secret_id, secret_values.c.version, secret_values.c.sealed)
    .where(
        tuple_(secret_values.c.project_id, secret_values.c.secret_id, secret_values.c.version)
        > tuple_(bindparam("after_project"), bindparam("after"), bindparam("after_version", type_=Integer))
    )
    .order_by(secret_values.c.project_id, secret_values.c.secret_id, secret_values.c.version)
    .limit(bindparam("limit", type_=Integer))
)
SEALED_SIGNING = Query(
    select(
        job_secrets.c.job_id,
        func.coalesce(jobs.c.project_id, webhook_subscriptions.c.project_id),
        job_secrets.c.sealed,
        job_secrets.c.previous,
    )
    .outerjoin(jobs, jobs.c.job_id == job_secrets.c.job_id)
    .outerjoin(webhook_subscriptions, webhook_subscriptions.c.subscription_id == job_secrets.c.job_id)
    .where(job_secrets.c.job_id > bindparam("after"))
    .order_by(job_secrets.c.job_id)
    .limit(bindparam("limit", type_=Integer))
)

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


def row(kept: Environment) -> dict[str, Any]:
    """Return the columns of an environment."""
    return msgspec.structs.asdict(kept) | {"variables": _encode(kept.variables)}


def environment(found: Row) -> Environment:
    """Return the environment of a row."""
    named = dict(zip(Environment.__struct_fields__, found, strict=True))
    return Environment(**named | {"variables": _decode(named["variables"])})


def secret(found: Row) -> Secret:
    """Return the secret of a row."""
    return Secret(**dict(zip(Secret.__struct_fields__, found, strict=True)))
