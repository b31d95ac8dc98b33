"""Evidence of runs on both databases: refused rather than wrong, withheld rather than leaked, signed once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runwright.auth.signing_keys import SigningKeys
from runwright.domain import outcome as o
from runwright.domain.commands import Append
from runwright.domain.events import Draft
from runwright.domain.evidence import Profile
from runwright.domain.redaction import Redacted, RedactedText, compose
from runwright.domain.tenancy import Actor
from runwright.errors import Denied, Gone, NotFound, Overloaded, StoreError, TooLarge
from runwright.governance.evidence import Evidence
from runwright.governance.packing import Bundle
from runwright.governance.verifier.report import Report
from runwright.governance.verifier.verify import verify
from runwright.store import audit
from runwright.store.base import Transaction
from tests.engine.world import ADMIN, World
from tests.governance.bundles import files_of

LATER = "a-secret-of-later"


def evidence(world: World) -> Evidence:
    return Evidence(world.engine, SigningKeys(world.store, world.keyring))


async def lived(world: World, *drafts: Draft, ended: bool = True, values: tuple[Any, ...] = ()) -> str:
    """Make an organization, and a run that wrote what it is given."""
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    run_id = await world.submit(world.job(), payload={"a": 1})
    run = (await world.take())[0]
    packed = [(await world.engine.values.pack("proj_1", run_id, *value))[0] for value in values]
    if drafts or packed:
        await world.engine.commit.apply(Append(run_id, run.lease_epoch, drafts, tuple(packed)))
    if ended:
        await world.finish(run, o.Completed())
    return run_id


def said(text: str, data: bytes = b"{}") -> Draft:
    return Draft("log", Redacted(data), RedactedText(text))


async def read(bundle: Bundle) -> bytes:
    data = b"".join([piece async for piece in bundle.pieces(0, bundle.size)])
    bundle.close()
    return data


async def exported(
    world: World, run_id: str, directory: Path, profile: Profile = "full", actor: Actor = ADMIN
) -> tuple[dict[str, bytes], Report]:
    """Return the files of a bundle, and what its verification found."""
    path = directory / "bundle.zip"
    path.write_bytes(await read(await evidence(world).export(actor, run_id, profile, "zip")))
    return files_of(path.read_bytes()), verify(str(path))


async def test_a_log_of_many_pages_is_whole_and_the_same_each_time(open_world, tmp_path: Path):
    world = await open_world()
    lines = [said(f"line {number}") for number in range(4500)]
    run_id = await lived(world, *lines)
    first, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.code) == ([], 3)
    assert first["timeline.ndjson"].count(b"\n") == (await world.run(run_id)).seq
    world.clock.advance(3600)
    again, _ = await exported(world, run_id, tmp_path)
    assert again == first
    told = json.loads(await read(await evidence(world).export(ADMIN, run_id, "full", "json")))
    assert [event["seq"] for event in told["timeline"]["events"]] == list(range(1, told["timeline"]["count"] + 1))


async def test_an_event_that_holds_a_secret_known_since_is_withheld_and_the_root_stays(open_world, tmp_path: Path):
    world = await open_world()
    run_id = await lived(world, said("all well"), said(f"it is {LATER}"), said("", b'{"x":"%b"}' % LATER.encode()))
    before, _ = await exported(world, run_id, tmp_path)
    assert LATER.encode() in before["timeline.ndjson"]
    world.engine.vault.redactors.know("proj_1", 1, [LATER])
    after, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.code) == ([], 3)
    assert LATER.encode() not in b"".join(after.values())
    assert json.loads(after["chain.json"])["root"] == json.loads(before["chain.json"])["root"]
    told = json.loads(after["redaction.json"])
    assert (told["status"], told["events"]["withheld"]["secret"], len(told["events_with_secrets"])) == ("applied", 2, 2)


async def test_what_cannot_be_redacted_is_not_handed_out(open_world):
    world = await open_world()
    run_id = await lived(world, said("", b'{"half-a-sign":"\\u12'))
    with pytest.raises(StoreError) as refused:
        await evidence(world).export(ADMIN, run_id, "full", "zip")
    assert refused.value.code == "evidence.redaction_failed"
    public = await evidence(world).export(ADMIN, run_id, "public", "zip")
    assert b"half-a-sign" not in await read(public)


@pytest.mark.parametrize(
    ("change", "seq"),
    [
        ("UPDATE run_events SET message = 'other' WHERE seq = 3", 3),
        ("UPDATE run_events SET actor = 'user:other' WHERE seq = 2", 2),
        ("DELETE FROM run_events WHERE seq = 3", 3),
        ("DELETE FROM run_events WHERE seq = 4", 4),
    ],
)
async def test_a_log_that_somebody_changed_is_not_signed(open_world, change: str, seq: int):
    world = await open_world()
    run_id = await lived(world, said("a line"))
    world.database.change(change)
    with pytest.raises(StoreError) as refused:
        await evidence(world).export(ADMIN, run_id, "public", "zip")
    assert refused.value.code == "evidence.log_broken"
    assert f"at event {seq}:" in refused.value.detail
    assert world.rows("SELECT count(*) FROM audit") == [(0,)]


async def test_what_is_larger_than_the_settings_allow_is_refused_and_says_so(open_world):
    world = await open_world(evidence_max_bytes=1 << 20, evidence_artifacts_max=1)
    run_id = await lived(world, *[said("x" * 60_000) for _ in range(20)])
    with pytest.raises(TooLarge, match="RUNWRIGHT_EVIDENCE_MAX_BYTES"):
        await evidence(world).export(ADMIN, run_id, "full", "zip")
    await read(await evidence(world).export(ADMIN, run_id, "public", "zip"))
    many = await lived(world, values=(("output", "a", 1), ("output", "b", 2)))
    with pytest.raises(TooLarge, match="RUNWRIGHT_EVIDENCE_ARTIFACTS_MAX"):
        await evidence(world).export(ADMIN, many, "full", "zip")


async def test_no_more_bundles_are_made_at_a_time_than_the_settings_allow(open_world):
    world = await open_world(evidence_exports_max=1)
    run_id, office = await lived(world), evidence(world)
    held, released = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await audit.lock(tx, ADMIN.org_id)  # a bundle is told of in the audit log, so none is done while this is held
        held.set()
        await released.wait()

    holding = asyncio.create_task(world.store.write(hold))
    await held.wait()
    asked = [asyncio.create_task(office.export(ADMIN, run_id, "full", "zip")) for _ in range(3)]
    refused: set[asyncio.Task[Bundle]] = set()
    while len(refused) < 2:
        done, _ = await asyncio.wait(set(asked) - refused, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
    assert [type(each.exception()) for each in refused] == [Overloaded, Overloaded]
    released.set()
    await holding
    (made,) = set(asked) - refused
    (await made).close()
    (await office.export(ADMIN, run_id, "full", "zip")).close()


async def test_servers_that_sign_at_the_same_time_sign_one_head(open_world):
    world = await open_world()
    run_id = await lived(world)
    made = await asyncio.gather(*(evidence(world).export(ADMIN, run_id, "full", "zip") for _ in range(4)))
    assert len({await read(each) for each in made}) == 1
    assert world.rows("SELECT count(*) FROM audit WHERE action = 'evidence.signed'") == [(1,)]
    assert world.rows("SELECT count(*) FROM keyring WHERE name LIKE 'signing:%'") == [(1,)]


async def test_k16_the_bundle_of_a_live_run_is_a_prefix_whose_head_later_ones_hold(open_world, tmp_path: Path):
    world = await open_world()
    run_id = await lived(world, said("one"), ended=False)
    early, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.manifest["sealed"]) == ([], False)
    run = await world.run(run_id)
    await world.engine.commit.apply(Append(run_id, run.lease_epoch, (said("two"),)))
    middle, _ = await exported(world, run_id, tmp_path)
    await world.finish(await world.run(run_id), o.Completed())
    late, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.manifest["sealed"]) == ([], True)
    assert late["timeline.ndjson"].startswith(middle["timeline.ndjson"])
    assert middle["timeline.ndjson"].startswith(early["timeline.ndjson"])
    heads = [json.loads(each["chain.json"])["tree_head"] for each in (early, middle)]
    assert json.loads(late["chain.json"])["earlier_heads"] == heads


async def test_k17_what_an_old_key_signed_is_verified_with_it_after_a_rotation(open_world, tmp_path: Path):
    world = await open_world()
    run_id = await lived(world)
    before, report = await exported(world, run_id, tmp_path)
    old = report.signer
    made = await SigningKeys(world.store, world.keyring).rotate(ADMIN)
    after, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.signer) == ([], made.key_id)
    assert made.key_id != old
    heads = [json.loads(each["chain.json"])["tree_head"] for each in (before, after)]
    assert heads[0] == heads[1]
    keys = {key["key_id"]: (key["since"], key["until"]) for key in report.manifest["keys"]}
    assert keys == {old: (keys[old][0], made.since), made.key_id: (made.since, None)}
    assert (await exported(world, run_id, tmp_path))[0] == after


async def test_k18_erased_data_leave_the_chain_whole_and_their_digests(open_world, tmp_path: Path):
    world = await open_world()
    run_id = await lived(world, said("a needle"), values=(("output", "a", {"x": "a needle"}),))
    before, _ = await exported(world, run_id, tmp_path)
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    after, report = await exported(world, run_id, tmp_path)
    assert (report.problems, report.manifest["artifacts"]) == ([], [])
    assert b"needle" not in b"".join(after.values())
    assert json.loads(after["chain.json"])["root"] == json.loads(before["chain.json"])["root"]
    digests = [
        [json.loads(line)["data_digest"] for line in each["timeline.ndjson"].splitlines()] for each in (before, after)
    ]
    assert digests[0] == digests[1]
    told = json.loads(after["redaction.json"])["events"]
    assert told["withheld"]["erased"] == told["total"]


async def test_values_are_redacted_and_what_models_were_told_is_behind_its_scope(open_world, tmp_path: Path):
    world = await open_world()
    kept = (("output", "a/b", {"k": "hunter2-the-secret"}), ("prompt", "p", {"x": 1}), ("snapshot", "last", "AAAA"))
    run_id = await lived(world, values=kept)
    files, report = await exported(world, run_id, tmp_path)
    assert report.problems == []
    told = {each["kind"]: each for each in report.manifest["artifacts"]}
    assert (told["output"]["redacted"], told["payload"]["redacted"]) == (True, False)
    assert json.loads(files[f"artifacts/{told['output']['sha256']}"]) == {"k": "[redacted:known]"}
    assert b"hunter2" not in b"".join(files.values())
    assert told["snapshot"]["withheld"] is True
    assert told["prompt"]["sha256"]
    less = Actor(kind="user", id="u", org_id="org_1", scopes=frozenset({"runs:read", "evidence:export"}))
    _, report = await exported(world, run_id, tmp_path, actor=less)
    assert {each["kind"]: each for each in report.manifest["artifacts"]}["prompt"]["withheld"] is True
    _, report = await exported(world, run_id, tmp_path, "auditor")
    assert all(each["withheld"] for each in report.manifest["artifacts"])


def printed(stream: str, chunk: str) -> Draft:
    return Draft("terminal.output", compose({"stream": stream, "chunk": chunk}))


async def test_what_commands_printed_is_a_recording_that_replays_and_holds_no_secret(open_world, tmp_path: Path):
    world = await open_world()
    chunks = (
        ("stdout", "one\ntwo\r"),
        ("stdout", "\n\x1b[31mred\x1b[0m é\n"),
        ("stderr", f"{LATER}\n"),
        ("tty", "a\nb"),
    )
    run_id = await lived(world, *(printed(*each) for each in chunks))
    world.engine.vault.redactors.know("proj_1", 1, [LATER])
    files, report = await exported(world, run_id, tmp_path)
    assert report.problems == []
    head, *lines = [json.loads(line) for line in files["terminal/run.cast"].splitlines()]
    assert (head["version"], head["term"], head["title"]) == (3, {"cols": 80, "rows": 24}, run_id)
    assert [code for _, code, _ in lines] == ["o", "o", "o"]
    assert "".join(text for _, _, text in lines) == "one\r\ntwo\r\n\x1b[31mred\x1b[0m é\r\na\nb"
    assert all(passed >= 0 for passed, _, _ in lines)
    for profile in ("auditor", "public"):
        files, report = await exported(world, run_id, tmp_path, profile)
        assert (report.problems, "terminal/run.cast" in files) == ([], False)


async def test_who_may_not_see_the_run_or_the_profile_is_refused(open_world):
    world = await open_world()
    run_id = await lived(world)
    other = Actor(kind="user", id="u", org_id="org_2", scopes=frozenset({"admin"}))
    reader = Actor(kind="user", id="u", org_id="org_1", scopes=frozenset({"runs:read"}))
    with pytest.raises(NotFound):
        await evidence(world).export(other, run_id, "public", "zip")
    with pytest.raises(Denied) as refused:
        await evidence(world).export(reader, run_id, "auditor", "zip")
    assert refused.value.code == "evidence.profile_forbidden"
    (await evidence(world).export(reader, run_id, "public", "zip")).close()


async def test_a_run_of_which_retention_left_the_summary_has_no_evidence_any_more(open_world):
    world = await open_world(retention_days=1.0)
    run_id = await lived(world)
    world.clock.advance(2 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    with pytest.raises(Gone):
        await evidence(world).export(ADMIN, run_id, "public", "zip")
