"""The client of dispatch against a real server: what it sends, what it reads, and every way of going wrong."""

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager

import msgspec
import pytest

from runwright.clock import SystemClock
from runwright.executors.dispatch import USER_AGENT, Answer, Bounds, Dispatcher, Fault
from runwright.executors.phases import Phases
from tests.executors.endpoint import always, answer, certificate, serving
from tests.ports import kept

MIB = 1 << 20


@asynccontextmanager
async def client(*, allow_private=True, resolver=None, certificates=None, **bounds):
    more = {} if resolver is None else {"resolver": resolver}
    made = Dispatcher(SystemClock(), Bounds(**bounds), allow_private=allow_private, certificates=certificates, **more)
    try:
        yield made
    finally:
        await made.close()


def names(**known):
    """Resolve by a table; each use of a name takes the next of its answers, the last one for ever."""
    asked: list[str] = []

    async def resolver(host, port):
        asked.append(host)
        answers = known[host.split(".")[0]]
        return answers[min(asked.count(host), len(answers)) - 1]

    resolver.asked = asked  # type: ignore[attr-defined]
    return resolver


async def post(endpoint_or_url, headers=None, body=b"{}", **options):
    url = endpoint_or_url if isinstance(endpoint_or_url, str) else endpoint_or_url.url + "/hook"
    async with client(**options) as made:
        return await made.post(url, headers or {}, body)


async def test_a_request_carries_the_body_byte_for_byte_and_names_us():
    async with serving(always(answer(b'{"a": 1}', x_more="yes"))) as endpoint:
        got = await post(endpoint.url + "/hook;v=1/x?a=b;c&d=%20", {"X-Run-ID": "run_1"}, b'{"payload": [1, 2]}')
    assert isinstance(got, Answer)
    assert (got.status, got.body, got.headers["x-more"]) == (200, b'{"a": 1}', "yes")
    received = endpoint.received[0]
    assert received.line == "POST /hook;v=1/x?a=b;c&d=%20 HTTP/1.1"
    assert received.body == b'{"payload": [1, 2]}'
    assert received.headers == {
        "host": f"127.0.0.1:{endpoint.port}",
        "user-agent": USER_AGENT,
        "accept": "application/json, */*;q=0.5",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "19",
        "x-run-id": "run_1",
    }


async def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    async with serving(always(answer(b"proxy"))) as proxy, serving(always(answer(b"endpoint"))) as endpoint:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        got = await post(endpoint)
    assert got.body == b"endpoint"
    assert proxy.connections == 0


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_redirect_is_an_answer_and_nobody_goes_there(status):
    async with serving(always(answer(b"secret"))) as metadata, serving(always(b"")) as endpoint:
        endpoint.respond = always(answer(b"", status, location=metadata.url + "/latest/meta-data"))
        got = await post(endpoint)
    assert got.status == int(status[:3])
    assert metadata.connections == 0


# --- the guard --------------------------------------------------------------------------------------------------------

INSIDE = (
    "127.0.0.1",
    "169.254.169.254",
    "10.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fe80::1%lo",
    "0.0.0.0",
    "nonsense",
)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_not_connected_to(address):
    async with serving(always(answer())) as endpoint:
        url = f"http://rebound.example:{endpoint.port}/"
        got = await post(url, resolver=names(rebound=[[address]]), allow_private=False)
    assert (got.code, got.retryable, got.error_class) == ("dispatch.address_refused", False, "EndpointRefused")
    assert "rebound.example" in got.message
    assert endpoint.connections == 0


async def test_one_address_inside_closes_the_whole_name():
    async with serving(always(answer())) as endpoint:
        resolver = names(both=[["93.184.215.14", "127.0.0.1"]])
        got = await post(f"http://both.example:{endpoint.port}/", resolver=resolver, allow_private=False)
    assert got.code == "dispatch.address_refused"
    assert endpoint.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]"])
async def test_a_url_that_leads_inside_is_not_connected_to_although_it_was_registered(host):
    async with serving(always(answer())) as endpoint:
        got = await post(f"http://{host}:{endpoint.port}/", allow_private=False)
    assert got.code == "dispatch.address_refused"
    assert endpoint.connections == 0


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "metadata.google.internal", "a.localhost", "x.internal", "x."])
async def test_a_host_that_may_not_be_sent_to_is_not_even_resolved(host):
    async def resolver(host, port):
        raise AssertionError("asked")

    got = await post(f"http://{host}/", resolver=resolver, allow_private=False)
    assert got.code == "dispatch.address_refused"


async def test_a_name_is_resolved_once_a_connection_and_a_second_answer_is_vetted_like_the_first(monkeypatch):
    # What rebinding does: a harmless address while somebody looks, another one when it is dialled.
    resolver = names(rebound=[["127.0.0.1"], ["169.254.169.254"]])
    async with serving(always(answer())) as endpoint, client(resolver=resolver, keepalive_s=0) as made:
        url = f"http://rebound.example:{endpoint.port}/"
        monkeypatch.setattr(socket, "getaddrinfo", None)  # nobody else resolves: the vetted address is what is dialled
        assert isinstance(await made.post(url, {}, b""), Answer)
        assert resolver.asked == ["rebound.example"]
        got = await made.post(url, {}, b"")
    assert isinstance(got, Fault)
    assert got.code == "dispatch.address_refused"
    assert endpoint.received[0].headers["host"] == f"rebound.example:{endpoint.port}"


async def test_the_next_address_is_tried_when_one_does_not_answer():
    async with serving(always(answer(b"here"))) as endpoint:
        resolver = names(two=[["127.0.0.9", "127.0.0.1"]])
        got = await post(f"http://two.example:{endpoint.port}/", resolver=resolver)
    assert got.body == b"here"


async def test_a_name_without_address_is_a_fault_that_may_pass():
    async def resolver(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    got = await post("https://nowhere.example/secret?token=abc", resolver=resolver)
    assert (got.code, got.retryable, got.unreached) == ("dispatch.name_unresolved", True, True)
    assert "Name or service not known" in got.message
    assert "token" not in got.message
    empty = await post("https://nowhere.example/", resolver=names(nowhere=[[]]))
    assert empty.code == "dispatch.name_unresolved"


async def test_a_resolver_that_does_not_answer_is_given_up():
    async def resolver(host, port):
        await asyncio.Event().wait()

    got = await post("https://slow.example/", resolver=resolver, connect_s=0.01)
    assert (got.code, got.retryable, got.unreached) == ("dispatch.connect_timeout", True, True)


# --- connections ------------------------------------------------------------------------------------------------------


async def test_nobody_listening_is_a_fault_that_may_pass():
    with kept() as port:
        got = await post(f"http://127.0.0.1:{port}/x?token=abc")
    assert got.code == "dispatch.connection_failed"
    assert got.message == f"http://127.0.0.1:{port}: Connection refused"
    assert (got.retryable, got.unreached) == (True, True)


async def test_certificates_are_verified_for_the_name_that_was_asked_for(tmp_path):
    server, trusting = certificate(tmp_path, "good.example")
    async with serving(always(answer(b"tls")), server) as endpoint:
        resolver = names(good=[["127.0.0.1"]], bad=[["127.0.0.1"]])
        good = await post(f"https://good.example:{endpoint.port}/", resolver=resolver, certificates=trusting)
        assert good.body == b"tls"
        assert good.phases.tls_us > 0
        other = await post(f"https://bad.example:{endpoint.port}/", resolver=resolver, certificates=trusting)
        unknown = await post(f"https://good.example:{endpoint.port}/", resolver=resolver)
    assert other.code == unknown.code == "dispatch.connection_failed"
    assert "certificate is not accepted" in other.message
    assert "not valid for 'bad.example'" in other.message
    assert len(endpoint.received) == 1


async def test_a_connection_is_used_again_and_then_costs_no_time_to_come_about():
    async with serving(always(answer())) as endpoint, client() as made:
        first = await made.post(endpoint.url, {}, b"{}")
        second = await made.post(endpoint.url, {}, b"{}")
    assert endpoint.connections == 1
    assert first.phases.tcp_us > 0
    assert (second.phases.dns_us, second.phases.tcp_us, second.phases.tls_us) == (0, 0, 0)
    assert second.phases.ttfb_us > 0


async def test_phases_tell_where_the_time_went():
    clock = Ticking()
    resolver = names(timed=[["127.0.0.1"]])
    async with serving(always(answer(b"x" * 100))) as endpoint:
        made = Dispatcher(clock, Bounds(), allow_private=True, resolver=resolver)
        got = await made.post(f"http://timed.example:{endpoint.port}/", {}, b"{}")
        await made.close()
    # Each look at the clock takes one second: between two of them lies at least one.
    assert got.phases.dns_us == 1_000_000
    assert got.phases.tcp_us >= 1_000_000
    assert got.phases.tls_us == 0
    assert got.phases.ttfb_us >= 1_000_000
    assert got.phases.transfer_us >= 1_000_000


class Ticking(SystemClock):
    """A clock on which every look takes a second."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        self.seconds += 1
        return self.seconds


@pytest.mark.parametrize(
    ("data", "reused"),
    [
        (answer(b"12345"), True),
        (answer(b"", "204 No Content"), True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n", True),
        (answer(b"12345678", content_length="5"), False),
        (answer(b"12345", content_length="5") + answer(b"forged"), False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\nmore", False),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"12345"), False),
        (answer(b"12345", connection="close"), False),
    ],
)
async def test_what_follows_an_answer_is_never_taken_for_the_next_one(data, reused):
    async with serving(always(data)) as endpoint, client() as made:
        for _ in range(2):
            got = await made.post(endpoint.url, {}, b"{}")
            assert got.body in {b"12345", b""}
    assert endpoint.connections == (1 if reused else 2)


async def test_no_more_connections_are_opened_than_the_setting_allows():
    first_came = asyncio.Event()

    async def silent(received, writer):
        first_came.set()
        await asyncio.Event().wait()

    async with serving(silent) as endpoint, client(connections=1) as made:
        first = asyncio.create_task(made.post(endpoint.url, {}, b"{}"))
        await first_came.wait()
        made._bounds = msgspec.structs.replace(made._bounds, connect_s=0.05)  # the first had all the time it needed
        got = await made.post(endpoint.url, {}, b"{}")
        first.cancel()
        await asyncio.wait([first])
    assert (got.code, got.retryable, got.unreached) == ("dispatch.no_connection", True, True)
    assert "RUNWRIGHT_DISPATCH_CONNECTIONS" in got.message
    assert endpoint.connections == 1


# --- bad answers ------------------------------------------------------------------------------------------------------


async def test_an_answer_of_50_mib_that_says_so_is_not_read():
    sent = 0

    async def huge(received, writer):
        nonlocal sent
        writer.write(answer(b"", content_length=str(50 * MIB)))
        while sent < 50 * MIB:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with serving(huge) as endpoint:
        got = await post(endpoint)
    assert (got.code, got.retryable, got.unreached) == ("dispatch.answer_too_large", False, False)
    assert "1048576 bytes (RUNWRIGHT_DISPATCH_BODY_MAX_BYTES)" in got.message
    assert sent < 50 * MIB


async def test_an_endless_answer_is_cut_at_the_limit():
    async def endless(received, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    async with serving(endless) as endpoint:
        got = await post(endpoint)
    assert got.code == "dispatch.answer_too_large"


async def test_an_answer_at_the_limit_is_taken_and_one_byte_more_is_not():
    async with serving(always(answer(b"x" * 1000))) as endpoint:
        assert len((await post(endpoint, body_max_bytes=1000)).body) == 1000
        assert (await post(endpoint, body_max_bytes=999)).code == "dispatch.answer_too_large"


async def test_a_body_that_never_ends_is_given_up_in_its_time():
    async def dripping(received, writer):
        writer.write(answer(b"{", content_length="2"))
        await writer.drain()
        await asyncio.Event().wait()

    async with serving(dripping) as endpoint:
        got = await post(endpoint, body_s=0.05)
    assert (got.code, got.retryable) == ("dispatch.answer_too_slow", True)
    assert "RUNWRIGHT_DISPATCH_BODY_S" in got.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"not http at all\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        answer(b"12345", content_length="10"),
        answer(b"", content_length="-1"),
        answer(b"", content_length="five"),
        answer(b"", content_length="9" * 5000),
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ],
)
async def test_an_answer_of_a_wrong_length_or_form_is_a_fault_that_may_pass(data):
    async def cut(received, writer):
        writer.write(data)
        await writer.drain()
        writer.close()

    async with serving(cut) as endpoint:
        got = await post(endpoint)
    assert isinstance(got, Fault)
    assert (got.code, got.retryable, got.unreached) == ("dispatch.answer_broken", True, False)
    assert len(got.message) < 300


async def test_a_connection_that_is_reset_is_a_fault_that_may_pass():
    async def reset(received, writer):
        writer.transport.abort()

    async with serving(reset) as endpoint:
        got = await post(endpoint)
    assert (got.code, got.retryable) == ("dispatch.answer_broken", True)


async def test_a_packed_answer_is_refused_unread():
    async with serving(always(answer(gzip.compress(b"x" * MIB * 10), content_encoding="gzip"))) as endpoint:
        got = await post(endpoint)
    assert (got.code, got.retryable) == ("dispatch.answer_encoded", False)


async def test_an_answer_until_the_connection_closes_is_read_whole():
    async def closing(received, writer):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        await writer.drain()
        writer.close()

    async with serving(closing) as endpoint:
        assert (await post(endpoint)).body == b"all of it"


async def test_a_header_that_cannot_be_sent_is_no_way_to_send_another():
    async with serving(always(answer())) as endpoint:
        got = await post(endpoint, {"X-Key": "a\r\nX-Forged: yes"})
    assert (got.code, got.retryable) == ("dispatch.request_invalid", False)
    assert endpoint.received == []


async def test_an_answer_that_comes_before_the_request_was_sent_whole_counts():
    async def early(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"no", "413 Too Large", connection="close"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    got = await post(f"http://127.0.0.1:{port}/", body=b"x" * 8 * MIB)
    server.close()
    assert isinstance(got, Answer | Fault)
    assert isinstance(got, Fault) or got.status == 413


def test_phases_of_nothing_are_zeros():
    assert Phases() == Phases(0, 0, 0, 0, 0)
