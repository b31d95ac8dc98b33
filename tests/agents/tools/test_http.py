"""The tool `http`: what it asks, where it may not go, and what it brings back."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from runwright.agents.tools.port import Fault, Said
from runwright.domain.model_call import ToolCall
from runwright.domain.tools import Refused, ToolRules
from tests.agents.tools.bench import BOUNDS, Bench
from tests.deadlines import deadline
from tests.executors.endpoint import Received, Respond, always, answer, certificate, serving


async def resolve(host: str, port: int) -> list[str]:
    """Know some hosts of the world, and that 127.0.0.1 is itself."""
    known = {
        "one.test": "127.0.0.1",
        "other.test": "127.0.0.1",
        "inside.test": "10.0.0.1",
        "meta.test": "169.254.169.254",
    }
    if host not in known and host != "127.0.0.1":
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return [known.get(host, host)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Return the tools of a server that has no sandbox, and that may ask its own machine."""
    async with Bench(None, resolver=resolve) as bench:
        yield bench


def routes(**answers: bytes) -> Respond:
    """Answer by the last part of the path."""

    async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
        path = received.line.split()[1].partition("?")[0]
        writer.write(answers.get(path.strip("/").replace("/", "_") or "root", answer(b"", "404 Not Found")))

    return respond


async def fault(bench: Bench, **arguments: object) -> tuple[str, str]:
    """Return the code and the words of a request that fails."""
    return await bench.refused("http", **arguments)


async def test_an_answer_is_told_with_its_status_and_the_headers_that_matter(bench: Bench):
    told = answer('{"name": "größe"}'.encode(), content_type="application/json", set_cookie="a=b", server="x")
    async with serving(always(told)) as endpoint:
        said = await bench.said("http", method="GET", url=f"{endpoint.url}/a?b=c", headers={"X-Own": "1"})
    assert said == {"status": 200, "headers": {"content-type": "application/json"}, "body": '{"name": "größe"}'}
    (received,) = endpoint.received
    assert received.line == "GET /a?b=c HTTP/1.1"
    sent = {name: value for name, value in received.headers.items() if name != "user-agent"}
    assert sent == {"host": f"127.0.0.1:{endpoint.port}", "accept": "*/*", "accept-encoding": "identity", "x-own": "1"}


async def test_what_is_sent_carries_the_key_of_its_call(bench: Bench):
    async with serving(always(answer(b"", "201 Created", location="/made/1"))) as endpoint:
        said = await bench.said("http", method="POST", url=endpoint.url, body='{"a": "ä"}')
        await bench.said("http", method="PUT", url=endpoint.url, body="words", headers={"idempotency-key": "own"})
    assert said == {"status": 201, "headers": {"location": "/made/1"}, "body": ""}
    posted, put = endpoint.received
    assert posted.body == '{"a": "ä"}'.encode()
    assert (posted.headers["idempotency-key"], posted.headers["content-type"]) == ("run_1:call_1", "application/json")
    assert (put.headers["idempotency-key"], put.headers["content-type"]) == ("own", "text/plain; charset=utf-8")


async def test_an_error_of_the_peer_is_an_answer(bench: Bench):
    async with serving(always(answer(b"gone", "410 Gone"))) as endpoint:
        assert (await bench.said("http", method="DELETE", url=endpoint.url))["status"] == 410


PRIVATE = {
    "loopback": "http://127.0.0.1:{port}/",
    "a name of loopback": "http://one.test:{port}/",
    "localhost": "http://localhost:{port}/",
    "a private network": "http://10.0.0.1/",
    "a name of one": "http://inside.test/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "a name of metadata": "http://meta.test/",
    "IPv6 loopback": "http://[::1]:{port}/",
    "an address in hexadecimal": "http://0x7f000001:{port}/",
    "nobody": "http://0.0.0.0:{port}/",
}


@pytest.mark.parametrize("url", PRIVATE.values(), ids=PRIVATE)
async def test_only_public_addresses_are_asked(url: str):
    async with (
        serving(always(answer())) as endpoint,
        Bench(None, bounds=replace(BOUNDS, http_private=False), resolver=resolve) as bench,
    ):
        code, message = await fault(bench, method="GET", url=url.format(port=endpoint.port))
        assert code == "http.refused"
        assert "RUNWRIGHT_" not in message, "a model has no say in how the server is set up"
        assert endpoint.connections == 0


async def test_metadata_is_refused_even_where_private_networks_are_not(bench: Bench):
    for url in ("http://169.254.169.254/", "http://meta.test/", "http://metadata.google.internal/"):
        assert (await fault(bench, method="GET", url=url))[0] == "http.refused"


BAD_URLS = [
    "ftp://one.test/",
    "http://user:pass@one.test/",
    "http://one.test/#part",
    "http://one.test:99999/",
    "one",
    "//x",
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_what_is_no_plain_address_is_refused_without_repeating_it(bench: Bench, url: str):
    code, message = await fault(bench, method="GET", url=url)
    assert code == "http.refused"
    assert "pass@" not in message


async def test_a_redirect_is_followed_and_a_post_becomes_a_get(bench: Bench):
    moved = {str(status): answer(b"", f"{status} Moved", location="/end") for status in (301, 302, 303, 307, 308)}
    async with serving(routes(**moved, end=answer(b"here"))) as endpoint:
        for status in moved:
            said = await bench.said("http", method="POST", url=f"{endpoint.url}/{status}", body="x")
            assert said["body"] == "here"
        ends = [received for received in endpoint.received if "/end" in received.line]
    assert [(received.line.split()[0], received.body) for received in ends] == [
        ("GET", b""),
        ("GET", b""),
        ("GET", b""),
        ("POST", b"x"),
        ("POST", b"x"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/",
        "http://meta.test/",
        "ftp://one.test/",
        "file:///etc/passwd",
        "http://u:p@one.test/",
        "http://[/",
    ],
)
async def test_a_redirect_is_judged_like_any_other_address(bench: Bench, target: str):
    async with serving(always(answer(b"", "302 Found", location=target))) as endpoint:
        code, _ = await fault(bench, method="GET", url=endpoint.url)
        assert code in {"http.refused", "http.redirects"}
        assert len(endpoint.received) == 1


async def test_to_another_host_nothing_of_the_request_is_taken_along(bench: Bench):
    async with serving(always(answer(b"there"))) as there:
        other = f"http://other.test:{there.port}/x"
        async with serving(always(answer(b"", "307 Temporary Redirect", location=other))) as here:
            headers = {"Authorization": "Bearer s3cret", "X-Own": "1", "Cookie": "a=b"}
            assert (await bench.said("http", method="GET", url=here.url, headers=headers))["body"] == "there"
            code, message = await fault(bench, method="POST", url=here.url, body="s3cret")
    assert (code, "s3cret" in message) == ("http.redirects", False)
    (received,) = there.received
    assert set(received.headers) == {"host", "user-agent", "accept", "accept-encoding"}


async def test_what_is_encrypted_is_not_sent_on_in_the_clear(tmp_path):
    server, client = certificate(tmp_path, "127.0.0.1")
    async with (
        serving(always(answer())) as plain,
        serving(always(answer(b"", "302 Found", location=plain.url)), server) as encrypted,
        Bench(None, resolver=resolve, certificates=client) as bench,
    ):
        code, message = await fault(bench, method="GET", url=encrypted.url)
        assert (code, "is not encrypted" in message) == ("http.redirects", True)
        assert plain.connections == 0


async def test_a_certificate_of_somebody_else_is_not_accepted(tmp_path):
    server, client = certificate(tmp_path, "else.test")
    async with (
        serving(always(answer()), server) as endpoint,
        Bench(None, resolver=resolve, certificates=client) as bench,
    ):
        assert (await fault(bench, method="GET", url=endpoint.url))[0] == "http.unreached"
        assert endpoint.received == []


async def test_redirects_without_end_are_given_up(bench: Bench):
    async with serving(always(answer(b"", "302 Found", location="/again"))) as endpoint:
        assert await fault(bench, method="GET", url=endpoint.url) == (
            "http.redirects",
            "it was sent on more than 5 times",
        )
        assert len(endpoint.received) == 6


async def test_a_large_answer_is_cut(bench: Bench):
    async with Bench(None, bounds=replace(BOUNDS, output_max_bytes=1000), resolver=resolve) as bench:
        chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"2\r\n\xc3\xa4\r\n" * 5000 + b"0\r\n\r\n"
        async with serving(always(chunked)) as endpoint:
            result = await bench.result("http", method="GET", url=endpoint.url)
    assert isinstance(result, Said)
    assert (result.truncated, result.value["body"]) == (True, "ä" * 500)


async def test_what_is_no_text_is_told_by_its_size(bench: Bench):
    answers = routes(
        zeros=answer(b"\0" * 10, content_type="image/png"),
        latin=answer(b"gr\xf6\xdfe", content_type='text/plain; charset="ISO-8859-1"'),
        wrong=answer(b"gr\xf6\xdfe", content_type="text/plain"),
        packed=answer(b"x", content_encoding="gzip"),
    )
    async with serving(answers) as endpoint:
        asked = {"method": "GET"}
        assert await bench.said("http", **asked, url=f"{endpoint.url}/zeros") == {
            "status": 200,
            "headers": {"content-type": "image/png"},
            "body": None,
            "binary_bytes": 10,
        }
        assert (await bench.said("http", **asked, url=f"{endpoint.url}/latin"))["body"] == "größe"
        assert (await bench.said("http", **asked, url=f"{endpoint.url}/wrong"))["body"] is None
        assert (await fault(bench, **asked, url=f"{endpoint.url}/packed"))[0] == "http.encoded"


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization"])
async def test_headers_that_make_up_the_request_are_not_the_model_s(bench: Bench, name: str):
    assert (await fault(bench, method="GET", url="http://one.test/", headers={name: "x"}))[0] == "http.refused"


def test_a_header_holds_no_second_one():
    bench = Bench(None)
    for headers in ({"X": "a\r\nY: b"}, {"X\r\nY": "b"}, {"X": "ä"}):
        arguments = msgspec.json.encode({"method": "GET", "url": "http://one.test/", "headers": headers}).decode()
        decided = bench.toolbox.catalogue.decide(ToolCall("call_1", "http", arguments), ToolRules())
        assert isinstance(decided, Refused)
        assert decided.code == "tool.arguments_invalid"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "http.broken"),
        (b"nothing of the kind\r\n\r\n", "http.broken"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", "http.broken"),
    ],
    ids=["nothing", "no HTTP", "cut short"],
)
async def test_an_answer_that_is_none_is_told(bench: Bench, data: bytes, code: str):
    async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    async with serving(respond) as endpoint:
        assert (await fault(bench, method="GET", url=f"{endpoint.url}/?token=s3cret"))[0] == code


async def test_nothing_of_an_address_but_its_origin_is_told_when_it_fails(bench: Bench):
    for url in ("http://127.0.0.1:9/path?token=s3cret", "http://nowhere.test/s3cret", "http://meta.test/?s3cret"):
        _, message = await fault(bench, method="GET", url=url)
        assert "s3cret" not in message
        assert "http://" in message


async def test_an_answer_that_does_not_come_is_given_up_and_its_connection_closed(bench: Bench):
    silent = asyncio.Event()

    async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        silent.set()
        await asyncio.get_running_loop().create_future()

    async with serving(respond) as endpoint:
        with deadline(44.5) as time:
            ready = bench.ready("http", method="GET", url=endpoint.url)
            asking = asyncio.create_task(bench.make(replace(ready, timeout_s=time.seconds)))
            await silent.wait()
            time.passes()
            result = (await asking)[0].result
        assert isinstance(result, Fault)
        assert result.code == "tool.timeout"


async def test_a_cancel_closes_the_connection(bench: Bench):
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        ended.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        running = asyncio.create_task(bench.make(bench.ready("http", method="GET", url=f"http://127.0.0.1:{port}/")))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await ended == b""


def test_a_persona_s_methods_are_the_only_ones():
    bench = Bench(None)
    rules = ToolRules(allow=("http:GET",))
    (offered,) = bench.toolbox.catalogue.offered(rules)
    assert offered.schema["properties"]["method"]["enum"] == ["GET"]
    call = ToolCall("call_1", "http", '{"method": "POST", "url": "http://one.test/"}')
    decided = bench.toolbox.catalogue.decide(call, rules)
    assert isinstance(decided, Refused)
    assert (decided.code, "it may do: GET" in decided.message) == ("tool.not_allowed", True)
