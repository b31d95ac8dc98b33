"""Secrets reach the code that they are for, and nobody else: not the log, not readers, not the database's bytes."""

import asyncio
from typing import Any

import msgspec
import pytest

from runwright.client.context import Context
from runwright.client.handlers import job
from runwright.domain.job import Job, JobDefinition
from runwright.domain.secrets import EVERYWHERE, Secret
from runwright.domain.tenancy import Actor
from runwright.engine.calls import Said
from runwright.errors import AlreadyExists, Conflict, InvalidRequest, NotFound, QuotaExceeded
from runwright.store.inspection import inspect
from runwright.store.queries.shapes import Slice
from tests.engine.world import ADMIN, PROJECT, World, all_ended

SECRET = "correct-horse-battery"
OTHER = "staple-of-another-kind"
STRANGER = Actor(kind="user", id="user_9", org_id="org_9", scopes=frozenset({"admin"}))


async def keep(world: World, name: str, value: str, environment: Any = None) -> Secret:
    """Make a secret of the project, or of an environment of it."""
    return (await world.engine.vault.secrets.create(ADMIN, PROJECT, environment, name, value)).value


async def environment(world: World, name: str = "staging", **fields: Any) -> Any:
    """Make an environment."""
    return (await world.engine.vault.environments.create(ADMIN, PROJECT, {"name": name, **fields})).value


async def made(world: World, slug: str, **fields: Any) -> Job:
    """Make a job that is stored."""
    definition = JobDefinition(name=slug, slug=slug, **fields)
    return (await world.engine.jobs.create(ADMIN, PROJECT, definition)).value.job


@job
async def tell(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Say everything, in every way."""
    secret = ctx.secret("API_KEY")
    ctx.log(f"the key is {secret}", key=secret, region=ctx.env.get("REGION"))
    for half in (secret[:7], secret[7:]):
        ctx.stream(half)
    ctx.stream("", done=True)
    await ctx.output("shown", {"of": secret})
    if payload.get("fail"):
        raise ValueError(f"{secret} was refused")
    return {"length": len(secret), "value": secret}


async def done(world: World, asked: Job, **payload: Any) -> str:
    """Make a run and let it end."""
    run_id = await world.submit(asked, payload=payload)
    await all_ended(world)
    return run_id


async def written(world: World, run_id: str) -> bytes:
    """Return everything that was recorded of a run, as its readers see it."""
    record = await world.record(run_id)
    events = [(e.data or b"") + e.message.encode() for e in await world.events(run_id)]
    seen = [world.reader().result(record), world.reader().payload(record), record.run.error]
    outputs = [value.value for value in await world.reader().values(record, "output")]
    return b"".join(events) + msgspec.json.encode([seen, outputs])


async def test_appendix_c_23_a_secret_that_a_handler_says_stands_nowhere(open_world):
    world = await open_world(tell)
    world.engine.start()
    asked = await made(world, "tell", max_attempts=1)
    await keep(world, "API_KEY", SECRET)
    run_id = await done(world, asked, note=f"use {SECRET}")
    failed_id = await done(world, asked, fail=True)
    assert await world.state(run_id) == "completed"
    assert (await world.run(failed_id)).error == "[redacted:known] was refused"
    for each in (run_id, failed_id):
        found = await written(world, each)
        assert SECRET.encode() not in found
        assert found.count(b"[redacted:known]") >= 4
    stored = await world.store.values(run_id, "output")
    exact = await world.engine.values.unpack("proj_1", stored[0])
    assert exact == {"of": SECRET}, "working values come back exact to the run itself"
    assert SECRET.encode() not in world.database.content()


async def test_appendix_c_23_right_after_it_was_replaced_neither_the_old_nor_the_new_value_is_shown(open_world):
    world = await open_world(tell)
    world.engine.start()
    asked = await made(world, "tell")
    kept = await keep(world, "API_KEY", SECRET)
    before = await done(world, asked)
    new = await world.engine.vault.secrets.replace(ADMIN, kept.secret_id, OTHER)
    after = await done(world, asked, note=f"it was {SECRET}, and is {OTHER}")
    assert (kept.version, new.version) == (1, 2)
    assert msgspec.json.decode(await exact_result(world, before))["value"] == SECRET
    assert msgspec.json.decode(await exact_result(world, after))["value"] == OTHER
    for run_id in (before, after):
        assert not {SECRET, OTHER} & set((await written(world, run_id)).decode().split('"'))
        assert SECRET.encode() not in await written(world, run_id)
        assert OTHER.encode() not in await written(world, run_id)
    await world.engine.vault.secrets.delete(ADMIN, kept.secret_id)
    assert SECRET.encode() not in await written(world, before), "also when it is gone"


async def exact_result(world: World, run_id: str) -> bytes:
    """Return the result of a run as it was returned."""
    record = await world.record(run_id)
    assert record.result is not None
    return world.keyring.open("proj_1", record.result, f"{run_id}/result")


async def test_a_stream_that_is_open_while_a_secret_comes_hides_it(world: World):
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    attempt = (await world.engine.fleet._opened([run], received=0))[0]
    attempt.emit(chunk(f"{SECRET} is not known yet, {OTHER[:5]}"))
    await keep(world, "LATER", OTHER)
    attempt.emit(chunk(OTHER[5:]))
    attempt.emit(chunk(f" {OTHER}", done=True))
    await attempt.save([])
    told = "".join(await world.data_of(run_id, "stream.chunk", "chunk"))
    assert told == f"{SECRET} is not known yet, {OTHER} [redacted:known]", (
        "as far as it could be known when it was said"
    )


def chunk(text: str, *, done: bool = False) -> Any:
    """Return a piece of a stream."""
    return Said("stream.chunk", {"chunk": text, "stream_id": "default", "done": done})


async def test_a_key_of_many_lines_is_hidden_line_by_line(world: World):
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----"
    await keep(world, "PEM", key)
    redactor = world.engine.vault.redactors.of("proj_1")
    for text in (key, key.splitlines()[1], f"a line {key.splitlines()[2]} of it"):
        assert "9w0BAQEFAASCBKcwggSj" not in redactor.text(text)
        assert "MIIEvQIBADANBgkqhkiG" not in redactor.text(text)


async def test_the_environments_secrets_come_over_the_projects(world: World):
    staging = await environment(world, variables={"REGION": "eu"})
    await keep(world, "API_KEY", SECRET)
    await keep(world, "ONLY_HERE", "another-value")
    await keep(world, "API_KEY", OTHER, staging)
    plain, staged = world.job(), world.job("staged", environment="staging")
    given = []
    for asked in (plain, staged):
        run_id = await world.submit(asked)
        given.append(await world.engine.vault.provisions.of(await world.run(run_id)))
    assert given[0].secrets == {"API_KEY": SECRET, "ONLY_HERE": "another-value"}
    assert given[1].secrets == {"API_KEY": OTHER, "ONLY_HERE": "another-value"}
    assert (given[0].variables, given[1].variables) == ({}, {"REGION": "eu"})


async def test_a_project_without_secrets_asks_for_none(world: World):
    run_id = await world.submit(world.job())
    given = await world.engine.vault.provisions.of(await world.run(run_id))
    assert (given.secrets, given.variables) == ({}, {})
    assert world.engine.vault.redactors.of("proj_1") is world.engine.vault.redactors.base


async def test_a_job_can_only_name_an_environment_that_is_there(world: World):
    with pytest.raises(InvalidRequest) as refused:
        await made(world, "one", environment="nowhere")
    assert [field.path for field in refused.value.fields] == ["environment"]
    staging = await environment(world)
    asked = await made(world, "one", environment="staging")
    with pytest.raises(InvalidRequest):
        await world.engine.jobs.update(ADMIN, asked, {"environment": "nowhere"})
    with pytest.raises(Conflict):
        await world.engine.vault.environments.delete(ADMIN, staging)
    await world.engine.jobs.update(ADMIN, asked, {"environment": None})
    kept = await keep(world, "HERE", SECRET, staging)
    await world.engine.vault.environments.delete(ADMIN, staging)
    with pytest.raises(NotFound):
        await world.engine.vault.secrets.get(ADMIN, kept.secret_id)
    assert SECRET not in world.engine.vault.redactors.of("proj_1").text(SECRET)


async def test_a_run_whose_environment_is_gone_fails_and_says_so(open_world):
    world = await open_world(tell)
    run_id = await world.submit(world.job("tell", environment="gone", max_attempts=1))
    world.engine.start()
    await all_ended(world)
    assert (await world.run(run_id)).error == "There is no environment 'gone'."


async def test_names_are_taken_once_in_each_place_and_values_replaced_by_version(world: World):
    staging = await environment(world)
    first = await keep(world, "API_KEY", SECRET)
    await keep(world, "API_KEY", SECRET, staging)
    with pytest.raises(AlreadyExists) as taken:
        await keep(world, "API_KEY", OTHER)
    assert taken.value.data == {"secret_id": first.secret_id}
    versions = [
        (await world.engine.vault.secrets.replace(ADMIN, first.secret_id, f"{OTHER}-{n}")).version for n in "ab"
    ]
    assert versions == [2, 3]
    actions = [action for (action,) in world.rows("SELECT action FROM audit ORDER BY number")]
    assert actions == ["environment.created"] + ["secret.created"] * 2 + ["secret.replaced"] * 2
    assert not any(SECRET.encode() in data for (data,) in world.rows("SELECT data FROM audit"))


async def test_two_that_replace_a_value_at_once_leave_the_later_one(world: World):
    world.database.change("INSERT INTO organizations (org_id, slug, name, created_at) VALUES ('org_1', 'o', 'o', 0)")
    kept = await keep(world, "API_KEY", SECRET)
    secrets = world.engine.vault.secrets
    await asyncio.gather(*(secrets.replace(ADMIN, kept.secret_id, f"{OTHER}-{n}") for n in range(5)))
    run = await world.run(await world.submit(world.job()))
    now = await secrets.get(ADMIN, kept.secret_id)
    given = await world.engine.vault.provisions.of(run)
    active = world.rows("SELECT version FROM secret_values WHERE retired_at IS NULL")
    assert (now.version, active) == (6, [(6,)])
    assert given.secrets["API_KEY"].startswith(OTHER)


async def test_a_look_that_began_before_a_change_is_not_believed_after_it(world: World):
    provisions = world.engine.vault.provisions
    provisions.forget(PROJECT.project_id)
    looking = asyncio.create_task(provisions.ensure([PROJECT.project_id]))
    await asyncio.sleep(0)
    provisions.forget(PROJECT.project_id)
    await looking
    assert not provisions.fresh(PROJECT.project_id)
    await provisions.ensure([PROJECT.project_id])
    assert provisions.fresh(PROJECT.project_id)


async def test_a_request_that_is_repeated_makes_one_secret(world: World):
    secrets = world.engine.vault.secrets
    made = [await secrets.create(ADMIN, PROJECT, None, "API_KEY", SECRET, "once") for _ in range(2)]
    assert (made[0].value, made[1].repeated) == (made[1].value, True)


async def test_nobody_elses_secrets_are_there(world: World):
    kept, staging = await keep(world, "API_KEY", SECRET), await environment(world)
    vault = world.engine.vault
    for asked in (
        vault.secrets.get(STRANGER, kept.secret_id),
        vault.secrets.replace(STRANGER, kept.secret_id, OTHER),
        vault.secrets.delete(STRANGER, kept.secret_id),
        vault.environments.find(STRANGER, staging.environment_id, None),
        vault.environments.update(STRANGER, staging, {"description": "x"}),
        vault.environments.delete(STRANGER, staging),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await vault.secrets.page(STRANGER, None, None, Slice(10)) == []
    assert [each.environment_id for each in await vault.secrets.page(ADMIN, PROJECT, None, Slice(10))] == [EVERYWHERE]


async def test_a_project_has_only_so_many_secrets(open_world):
    world = await open_world(secrets_max=1)
    await keep(world, "ONE", SECRET)
    with pytest.raises(QuotaExceeded):
        await keep(world, "TWO", OTHER)


async def test_values_that_were_replaced_are_forgotten_in_time(world: World):
    kept = await keep(world, "API_KEY", SECRET)
    await world.engine.vault.secrets.replace(ADMIN, kept.secret_id, OTHER)
    world.clock.advance(8 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT version FROM secret_values") == [(2,)]


async def test_a_check_of_the_database_opens_secrets_and_signing_secrets(open_world):
    world = await open_world(allow_private_endpoints=True)
    kept = await keep(world, "API_KEY", SECRET)
    made = await world.engine.webhooks.subscriptions.create(ADMIN, PROJECT, {"url": "http://127.0.0.1/"})
    owner_id = made.value.subscription.subscription_id

    async def found() -> list[str]:
        return [
            finding.what
            for finding in await inspect(world.store, world.artifacts, 0, lambda *_: None, lambda _: world.keyring)
            if finding.where == "sealed value"
        ]

    assert await found() == []
    for table in ("secret_values", "job_secrets"):
        world.database.change(f"UPDATE {table} SET sealed = ?", b"\x01" + bytes(40))
    assert await found() == [f"{kept.secret_id}/1", f"{owner_id}/signing"]
