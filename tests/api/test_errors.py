"""Every error has one status, a stable code and the shape of its surface; what is not ours is never shown."""

import logging

import pytest

from runwright.api.errors import STATUS, answer, status_of
from runwright.errors import Error, Internal, InvalidRequest, MethodNotAllowed, NotFound, catalogue
from tests.api.conftest import Kit


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("not_found", 404, "runs.not_found"),
        ("transition", 409, "runs.invalid_transition"),
        ("idempotency", 409, "idempotency.mismatch"),
        ("overloaded", 503, "server.overloaded"),
        ("store", 503, "store.unavailable"),
        ("gone", 410, "runs.ended"),
        ("deep", 422, "request.invalid"),
        ("otherwise", 500, "internal"),
    ],
)
async def test_an_error_answers_its_status_and_code(kit: Kit, how, status, code):
    async with kit.client() as client:
        response = await client.get(f"/v1/fail/{how}")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert response.headers["x-trace-id"] == response.json()["trace_id"]


async def test_v1_errors_are_the_union_of_what_the_seeds_show(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/v1/fail/not_found", headers={"x-request-id": "mine"})
    text = "There is no run 'run_x'."
    assert response.json() == {
        "error": text,
        "code": "runs.not_found",
        "message": text,
        "request_id": "mine",
        "trace_id": response.headers["x-trace-id"],
        "details": None,
    }


async def test_runtime_errors_are_nested(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/api/v1/fail", headers={"x-request-id": "mine"})
        nowhere = await client.get("/api/v1/nowhere")
    message = "There is no run 'run_x'."
    assert response.json() == {
        "error": {"code": "RUN_NOT_FOUND", "message": message, "details": None, "request_id": "mine"}
    }
    assert nowhere.json()["error"]["code"] == "NOT_FOUND"


async def test_waiting_is_told_in_whole_seconds(kit: Kit):
    async with kit.client() as client:
        overloaded = await client.get("/v1/fail/overloaded")
        store = await client.get("/v1/fail/store")
        read_only = await client.get("/v1/fail/read_only")
        gone = await client.get("/v1/fail/gone")
    assert (overloaded.headers["retry-after"], store.headers["retry-after"]) == ("3", "1")
    assert (read_only.status_code, read_only.headers["retry-after"]) == (503, "1")
    assert "retry-after" not in gone.headers


async def test_an_unexpected_failure_is_logged_under_its_request_id_and_shows_nothing(kit: Kit, caplog):
    async with kit.client() as client:
        response = await client.get("/v1/fail/otherwise", headers={"x-request-id": "mine"})
    assert "sesame" not in response.text
    assert response.json()["message"] == Internal.summary
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "mine" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_every_class_has_a_status_and_every_code_one_class():
    kinds = catalogue()
    assert {status_of(kind) for kind in kinds.values()} <= set(range(400, 600))
    assert all(code == code.lower() for code in kinds)
    assert set(STATUS) <= {Error, *kinds.values()}
    codes = [kind.code for kind in set(kinds.values())]
    assert len(codes) == len(set(codes)), "no two classes share a code"


def test_a_class_without_a_status_of_its_own_has_its_parents():
    class Peculiar(InvalidRequest):
        code = "peculiar"

    assert status_of(Peculiar) == 422


def test_the_allowed_methods_are_told():
    status, headers, _ = answer(MethodNotAllowed(["POST", "GET"]), "/v1/x", "req_1", "0" * 32)
    assert (status, headers) == (405, {"allow": "GET, POST"})


def test_an_error_takes_a_code_and_details_of_its_own():
    error = InvalidRequest.at("cursor", "is odd", code="cursor.invalid")
    assert (error.code, error.detail, error.fields[0].path) == ("cursor.invalid", "cursor: is odd", "cursor")
    assert InvalidRequest().code == "request.invalid"
    assert NotFound("batch").code == "batches.not_found"
    assert Error("x", retryable=True, data={"a": 1}).data == {"a": 1}
