"""Whose is what, once more: on a PostgreSQL that itself keeps organizations apart, for a role that it holds for."""

from pathlib import Path

import pytest

from runwright.api.routing import Endpoint
from runwright.governance.verifier.verify import verify
from tests.acceptance import test_every_route as routes
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.routes import each_of
from tests.acceptance.speech import said, unique
from tests.acceptance.table import NAMING, World, found_world

pytestmark = pytest.mark.xdist_group("acceptance-secured")


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "secured"


@pytest.fixture(scope="module")
async def ours(server: LiveServer, admin: ContractClient) -> World:
    return await found_world(server, admin, None)


@pytest.fixture(scope="module")
async def theirs(server: LiveServer, admin: ContractClient) -> World:
    made = await said(admin.post("/v1/organizations", json={"slug": unique("others")}), 201)
    return await found_world(server, admin, made["token"])


@each_of(NAMING)
async def test_appendix_c_20_an_id_of_another_organization_is_404(ours: World, theirs: World, endpoint: Endpoint):
    await routes.not_found_by_others(ours, theirs, endpoint)


async def test_evidence_is_whole_for_each_organization(ours: World, theirs: World, tmp_path: Path):
    for world in (ours, theirs):
        for profile in ("full", "public"):
            path = f"/api/v1/runs/{world.idents['run_id']}/evidence?format=zip&profile={profile}"
            response = await world.client.get(path)
            (tmp_path / "bundle.zip").write_bytes(response.content)
            report = verify(str(tmp_path / "bundle.zip"))
            assert (response.status_code, report.problems) == (200, [])
            assert len(report.manifest["audit"]) == (1 if profile == "full" else 0)


async def test_lists_hold_nothing_of_another_organization_and_all_of_ones_own(ours: World, theirs: World):
    await routes.test_lists_hold_nothing_of_another_organization(ours, theirs)
    for world in (ours, theirs):
        listed = await said(world.client.get("/v1/runs"))
        assert world.idents["run_id"] in {run["id"] for run in listed}
