import ipaddress
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.addresses import URL_MAX, address_problem, host_problem, standing, url_problem

LOOPBACK = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.0.0.1",
    "0x7f.0.0.1",
    "0x7F000001",
    "0x7f.1",
    "0x",
    "2130706433",
    "017700000001",
    "4294967296",
    "127.0.0.1.",
    "127.0.0.0x1",
    "1.2.3.4.5",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[2606:4700::5efe:7f00:1]",
    "[::]",
    "0.0.0.0",
    "0",
    "localhost",
    "LocalHost",
    "localhost.",
    "a.localhost",
)
METADATA = (
    "169.254.169.254",
    "0251.0376.0251.0376",
    "0xa9fea9fe",
    "2852039166",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fe80::a9fe:a9fe]",
    "100.100.100.200",
    "168.63.129.16",
    "metadata.google.internal",
    "Metadata.Google.Internal",
    "metadata",
    "instance-data",
)
PRIVATE = ("10.0.0.1", "10.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd12:3456::1]", "db.internal", "nas.local")
OTHERS = (
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
)


@pytest.mark.parametrize("host", [*LOOPBACK, *METADATA, *PRIVATE, *OTHERS])
@pytest.mark.parametrize("form", ["http://{}/", "https://{}:8443/hook?a=1", "HTTP://{}"])
def test_no_spelling_of_an_address_that_is_not_public_is_taken(host, form):
    assert url_problem(form.format(host)) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com#@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "http://127.0.0.1%2f.example.com/",
        "http://%31%32%37.0.0.1/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://ⓛocalhost/",
        "http://bücher.example/",
        "http://example.com/ü",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "http:///etc/passwd",
        "http:example.com",
        "//example.com/",
        "example.com",
        "",
        "http://",
        "http://example.com/a b",
        "http://example.com/\r\nHost: x",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:/",
        "http://example..com/",
        "http://.example.com/",
        "http://-.example.com/",
        "http://example.com./",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://example.com/#top",
        "https://example.com/" + "a" * URL_MAX,
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_plain_web_address_is_refused(url, allow_private):
    assert url_problem(url, allow_private=allow_private) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "http://example.com:8080/hooks/a-b_c~d?x=1&y=%20z;(')*!,$@:/?",
        "https://xn--bcher-kva.example/",
        "https://a_b.example/",
        "https://8.8.8.8/x",
        "https://[2606:4700:4700::1111]:443/x",
        "https://127.0.0.1.nip.io/",
        "https://10.example/",
        "https://1e100.net?x",
        "https://example.com/" + "a" * (URL_MAX - 20),
    ],
)
def test_a_plain_web_address_is_taken(url):
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.0.0.1", "192.168.0.1", "100.64.0.1", "localhost", "db.internal"]
)
def test_development_may_send_to_private_addresses_in_their_plain_spelling(host):
    assert url_problem(f"http://{host}:8000/", allow_private=True) is None


@pytest.mark.parametrize("host", [*METADATA, *OTHERS, "0.0.0.0", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_development_may_not_send_to_what_is_forbidden(host):
    assert url_problem(f"http://{host}/", allow_private=True) is not None


def test_a_refusal_says_what_to_do():
    assert "RUNWRIGHT_ALLOW_PRIVATE_ENDPOINTS" in (url_problem("http://127.0.0.1/") or "")
    assert "four decimal numbers" in (url_problem("http://127.1/") or "")
    assert "xn--" in (url_problem("http://bücher.example/") or "")


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_python_does_not_call_global_is_never_public(address):
    if standing(str(address)) == "public":
        assert address.is_global
        special = (address.is_multicast, address.is_reserved, address.is_link_local, address.is_unspecified)
        assert not any(special)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_that_python_calls_global_is_public_but_for_a_few(address):
    few = ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "224.0.0.0/4")
    if address.is_global and not any(address in ipaddress.ip_network(each) for each in few):
        assert standing(str(address)) == "public"


@given(st.ip_addresses(v=4), st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2606:4700::5efe:0:0"]))
def test_no_ipv6_form_carries_an_ipv4_address_past_the_policy(address: IPv4Address, prefix):
    packed = int(IPv6Address(prefix)) | int(address)
    shown = str(IPv6Address(packed))
    assert standing(shown) == "forbidden" or shown == "::1"


@given(st.ip_addresses(v=4), st.integers(0, 2**64 - 1))
def test_neither_6to4_nor_teredo_is_ever_public(address: IPv4Address, rest):
    assert standing(str(IPv6Address((0x2002 << 112) | (int(address) << 80) | rest))) == "forbidden"
    assert standing(str(IPv6Address((0x20010000 << 96) | (int(address) << 64) | rest))) == "forbidden"


@given(st.ip_addresses(v=4).filter(lambda a: standing(str(a)) == "public"), st.data())
def test_an_address_in_any_other_spelling_is_refused_even_when_it_is_public(address: IPv4Address, data):
    parts = [data.draw(st.sampled_from([str(byte), hex(byte), f"0{byte:o}"])) for byte in address.packed]
    spelling = data.draw(st.sampled_from([".".join(parts), str(int(address)), hex(int(address)), f"0{int(address):o}"]))
    assert (host_problem(spelling) is None) == (spelling == str(address))


@given(st.text())
def test_any_text_is_answered_and_what_is_taken_has_a_host_that_is_taken(text):
    for url in (text, f"http://{text}/", f"https://example.com/{text}"):
        if url_problem(url) is None:
            assert url.isascii()
            assert url.lower().startswith(("http://", "https://"))


def test_ipv6_is_closed_outside_of_global_unicast():
    for first in range(0, 0x10000, 0x100):
        address = IPv6Address(first << 112 | 0x4700 << 96 | 1)
        if address not in IPv6Network("2000::/3"):
            assert address_problem(str(address)) is not None
