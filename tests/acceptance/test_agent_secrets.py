"""What a tenant keeps secret is in no answer, stream or log line of a server whose agents come across it."""

import pytest

from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import said, unique
from tests.acceptance.talks import Talks
from tests.agents.model_server import Fault
from tests.agents.model_server import serving as models_serving

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

REPEATING: tuple[Fault, ...] = ("echo_key", "echo_half_key", "echo_key_500", "told_echo_key")
"""How a provider repeats the key that it is asked with: whole or in part, in an error or within its stream."""


@pytest.fixture(scope="module")
async def posting(lenient: LiveServer) -> Talks:
    """Return the threads of a server that may ask models on this machine."""
    return Talks(lenient.client())


async def told(talks: Talks, run_id: str) -> bytes:
    """Return all that the API says of an agent run, as it says it."""
    run = await talks.client.get(f"/v1/runs/{run_id}")
    paths = [f"/v1/runs/{run_id}/{part}" for part in ("events", "debug-bundle", "attempts")]
    paths.append(f"/v1/threads/{run.json()['thread_id']}/messages")
    answers = [run, *[await talks.client.get(path) for path in paths]]
    assert {answer.status_code for answer in answers} == {200}
    return b"".join([await talks.raw_stream(run_id, path="events"), *(answer.content for answer in answers)])


async def route(talks: Talks, kind: str, url: str, key: str) -> str:
    """Make a route to a provider with a key."""
    provider = {"name": unique("prov"), "kind": kind, "base_url": url, "api_key": key}
    await said(talks.client.post("/v1/providers", json=provider), 201)
    body = {"name": unique("route"), "kind": kind, "model": "m", "provider": provider["name"]}
    return str((await said(talks.client.post("/v1/routes", json=body), 201))["id"])


@pytest.mark.parametrize("kind", ["openai-compatible", "openai", "anthropic"])
async def test_no_part_of_a_providers_key_is_told_whatever_the_provider_says(
    lenient: LiveServer, posting: Talks, kind: str
):
    key = unique("Zy8qkXw3Lr5vTn2mQp7s")
    async with models_serving(*REPEATING) as models:
        way = await route(posting, kind, models.url, key)
        whole = b""
        for _ in REPEATING:
            run_id = (await posting.begun("echo", route_id=way))["run_id"]
            await posting.until(run_id, "usage.recorded")
            await posting.client.post(f"/v1/runs/{run_id}:cancel")  # it may have ended, or rest before it asks again
            await posting.ended(run_id)
            whole += await told(posting, run_id)
        assert len(models.asked) >= len(REPEATING)
        assert {asked.key for asked in models.asked} == {key}
    for part in (key, key[: len(key) // 2], key[len(key) // 2 :]):
        assert part.encode() not in whole
        assert part.encode() not in lenient.log.read_bytes()


async def test_a_secret_of_the_project_is_told_by_nobody_who_was_told_it(lenient: LiveServer, posting: Talks):
    word = unique("Kp4vNw9sXt2bRm6h")
    await said(posting.client.post("/v1/secrets", json={"name": unique("WORD").replace("-", "_"), "value": word}), 201)
    run = await posting.answered("echo", f"The word is {word[:7]}{word[7:]}, and I mean {word}.")
    assert run["status"] == "completed"
    whole = await told(posting, run["id"])
    assert b"[redacted:known]" in whole
    assert word.encode() not in whole
    assert word.encode() not in lenient.log.read_bytes()
