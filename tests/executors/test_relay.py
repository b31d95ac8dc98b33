"""The way from a sandbox to the API: under its own name, over TLS too, and closed with whoever closes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from runwright.sandbox.relay import HEAD_MAX, URL, Allowance, Credential, Relay, addressed, inside
from tests.executors.endpoint import always, answer, certificate, serving
from tests.waiting import until


@asynccontextmanager
async def relayed(api_url: str, allowance: Allowance | None = None) -> AsyncIterator[str]:
    """Relay to an address; yield the URL of what listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with Relay(listener, api_url, allowance=allowance):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_requests_reach_the_api_over_tls_under_its_name_one_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    served, _ = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with (
        serving(always(answer(b'{"ok":true}', connection="close")), served) as endpoint,
        relayed(f"https://localhost:{endpoint.port}") as url,
        httpx2.AsyncClient() as client,
    ):
        for _ in range(2):
            asked = await client.post(f"{url}/sdk/v1/x?y=1", content=b"body", headers={"Authorization": "Bearer t"})
            assert (asked.status_code, asked.json()) == (200, {"ok": True})
    assert endpoint.connections == 2
    for received in endpoint.received:
        assert (received.line, received.body) == ("POST /sdk/v1/x?y=1 HTTP/1.1", b"body")
        assert received.headers["host"] == f"localhost:{endpoint.port}"
        assert (received.headers["connection"], received.headers["authorization"]) == ("close", "Bearer t")


async def test_a_server_with_another_certificate_is_not_talked_to(tmp_path: Path):
    served, _ = certificate(tmp_path, "localhost")
    async with (
        serving(always(answer()), served) as endpoint,
        relayed(f"https://localhost:{endpoint.port}") as url,
        httpx2.AsyncClient() as client,
    ):
        with pytest.raises(httpx2.TransportError):
            await client.get(url)
    assert endpoint.received == []


async def test_relays_that_share_an_allowance_let_no_more_in_together_than_it_has():
    said = answer(b"x" * 1000)
    allowance = Allowance(2 * len(said) - 1)
    async with serving(always(said)) as endpoint, httpx2.AsyncClient() as client:
        async with relayed(endpoint.url, allowance) as url:
            assert len((await client.get(url)).content) == 1000
        assert not allowance.exceeded
        async with relayed(endpoint.url, allowance) as url:
            with pytest.raises(httpx2.TransportError):
                await client.get(url)
        assert allowance.exceeded


async def test_what_is_no_request_or_too_long_a_one_is_closed():
    async with serving(always(answer())) as endpoint, relayed(endpoint.url) as url:
        for sent in (b"hello\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(sent)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):  # closed before it was read to its end
                assert await reader.read() == b""
            writer.close()
    assert endpoint.received == []


async def test_who_goes_away_is_not_waited_for():
    async def silent(_received: object, _writer: asyncio.StreamWriter) -> None:
        pass

    async with serving(silent) as endpoint, relayed(endpoint.url) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: endpoint.received)
        writer.transport.abort()
        await until(lambda: endpoint.left)
        assert await reader.read() == b""


def test_the_head_names_the_host_of_the_api_and_nothing_else_is_changed():
    head = b"GET /a HTTP/1.1\r\nhost: 127.0.0.1:8642\r\nConnection: keep-alive\r\nX-A: b:c\r\n\r\n"
    assert addressed(head, "api.example.org") == (
        b"GET /a HTTP/1.1\r\nHost: api.example.org\r\nX-A: b:c\r\nConnection: close\r\n\r\n"
    )


def test_a_command_is_told_the_path_of_the_api_too():
    assert inside("https://example.org/runwright/") == f"{URL}/runwright"
    assert inside("https://example.org:8443") == URL


def test_a_credential_is_added_to_the_requests_that_it_is_for_and_to_no_other():
    shown = Credential("Basic dDp0", frozenset({"/r.git/info/refs", "/r.git/git-upload-pack"}))

    def sent(line: str, *fields: str) -> list[bytes]:
        head = "\r\n".join([line, *fields, "", ""]).encode()
        told = addressed(head, "h", shown).split(b"\r\n")
        return [each for each in told if each.lower().startswith(b"authorization:")]

    for line in ("GET /r.git/info/refs?service=git-upload-pack HTTP/1.1", "POST /r.git/git-upload-pack HTTP/1.1"):
        assert sent(line, "Authorization: Basic c29tZXRoaW5n") == [b"Authorization: Basic dDp0"]
    for line in (
        "POST /r.git/git-receive-pack HTTP/1.1",
        "GET /other.git/info/refs HTTP/1.1",
        "GET /r.git/info/refs/../../api HTTP/1.1",
        "GET http://h/r.git/info/refs HTTP/1.1",
        "GET  /r.git/info/refs HTTP/1.1",
    ):
        assert sent(line, "Authorization: Basic c29tZXRoaW5n") == []
