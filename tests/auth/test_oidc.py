"""A JWT is taken when everything about it is right, and refused when anything is not."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright import config, telemetry
from runwright.auth import issuer_keys
from runwright.auth.oidc import Oidc, looks_like_jwt
from runwright.clock import FrozenClock
from runwright.errors import InvalidSettings, Unauthenticated
from tests.auth.issuer import AUDIENCE, ISSUER, Issuer, ec, okp, rsa, secret, signed


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def issuer(clock: FrozenClock) -> Issuer:
    return Issuer(clock)


@pytest.fixture
def reasons() -> Iterator[list[str]]:
    """Collect why tokens were refused, as the log has it."""
    told: list[str] = []
    detach = telemetry.attach(lambda _, fields: told.append(str(fields.get("reason", fields.get("error")))))
    yield told
    detach()


async def taken(oidc: Oidc, token: str) -> bool:
    try:
        await oidc.identify(token)
    except Unauthenticated:
        return False
    return True


async def test_a_token_says_who_and_until_when(issuer: Issuer) -> None:
    token = issuer.token(preferred_username="Ada", email="ada@example.com")
    who = await issuer.oidc().identify(token)
    assert looks_like_jwt(token)
    assert (who.issuer, who.subject, who.name, who.email) == (ISSUER, "ada", "Ada", "ada@example.com")
    assert who.expires_at == issuer.clock.now() + 630_000_000


@pytest.mark.parametrize("make", [rsa, ec, okp])
async def test_each_algorithm_is_taken(issuer: Issuer, make: Any) -> None:
    issuer.keys = {"k": make("k")}
    assert await taken(issuer.oidc(), issuer.token("k"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": f"{ISSUER}/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "somebody else"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"runwright": 1}}, "audience"),
        ({"exp": None}, "expired"),
        ({"exp": 1}, "expired"),
        ({"exp": "soon"}, "read"),
        ({"exp": True}, "read"),
        ({"exp": 10**30}, "read"),
        ({"nbf": 10**10}, "not valid yet"),
        ({"nbf": "never"}, "read"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
    ],
)
async def test_a_claim_that_is_wrong_is_refused_and_told_to_the_log(
    issuer: Issuer, reasons: list[str], claims: dict[str, Any], reason: str
) -> None:
    assert not await taken(issuer.oidc(), issuer.token(**claims))
    assert reason in reasons[-1]


async def test_several_audiences_may_hold_ours(issuer: Issuer) -> None:
    assert await taken(issuer.oidc(), issuer.token(aud=["other", AUDIENCE]))


async def test_the_clocks_may_differ_by_the_leeway_and_no_more(issuer: Issuer) -> None:
    oidc, now = issuer.oidc(oidc_leeway_s=30), issuer.clock.now() // 1_000_000
    assert await taken(oidc, issuer.token(exp=now - 29))
    assert not await taken(oidc, issuer.token(exp=now - 30))
    assert await taken(oidc, issuer.token(nbf=now + 30))
    assert not await taken(oidc, issuer.token(nbf=now + 31))


async def test_no_token_chooses_how_it_is_checked(issuer: Issuer) -> None:
    oidc = issuer.oidc()
    public = str(issuer.keys["rsa"].as_dict(private=False)["n"]).encode()
    forged = signed(secret("rsa", public), {"kid": "rsa"}, issuer.claims())
    nothing = ".".join(
        base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode()
        for part in ({"alg": "none", "kid": "rsa"}, issuer.claims())
    )
    assert not await taken(oidc, forged)
    assert not await taken(oidc, nothing + ".")
    assert not looks_like_jwt(nothing + ".")
    assert not await taken(oidc, nothing + ".AAAA")
    for algorithm in ("RS512", "PS256", "ES384", "HS256", "EdDSA", "ES256"):
        try:
            token = signed(issuer.keys["rsa"], {"kid": "rsa", "alg": algorithm}, issuer.claims())
        except Exception:  # noqa: BLE001 - no such signature can be made
            continue
        assert not await taken(oidc, token), algorithm


async def test_a_signature_of_another_key_is_refused(issuer: Issuer, reasons: list[str]) -> None:
    assert not await taken(issuer.oidc(), signed(rsa("rsa"), {"kid": "rsa"}, issuer.claims()))
    assert "signature" in reasons[-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.data())
async def test_a_token_that_was_changed_anywhere_is_refused(issuer: Issuer, data: st.DataObject) -> None:
    oidc, token = issuer.oidc(), issuer.token()
    place = data.draw(st.integers(0, len(token) - 2))  # the last letter of a signature may have spare bits
    letter = data.draw(st.sampled_from("AZaz09-_.=").filter(lambda each: each != token[place]))
    assert not await taken(oidc, token[:place] + letter + token[place + 1 :])


@pytest.mark.parametrize("odd", ["", "eyJ", "a.b.c", "eyJ.e.e", "eyJ9.W10.AA", "." * 3, "eyJhbGciOiJSUzI1NiJ9.e30.AA"])
async def test_what_is_no_token_is_refused(issuer: Issuer, odd: str) -> None:
    assert not await taken(issuer.oidc(), odd)


async def test_deep_claims_are_refused(issuer: Issuer) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"rsa","x":' + b"[" * 5000 + b"]" * 5000 + b"}").decode()
    assert not await taken(issuer.oidc(), head.rstrip("=") + ".e30.AA")


async def test_a_new_key_is_found_and_an_old_one_is_forgotten(issuer: Issuer, clock: FrozenClock) -> None:
    oidc = issuer.oidc(oidc_refetch_s=30)
    old = issuer.token()
    assert await taken(oidc, old)
    issuer.keys = {"new": rsa("new")}
    assert not await taken(oidc, issuer.token("new")), "too soon after the last look"
    clock.advance(30)
    assert await taken(oidc, issuer.token("new"))
    assert not await taken(oidc, old)


async def test_whatever_is_sent_the_issuer_is_asked_rarely(issuer: Issuer) -> None:
    oidc = issuer.oidc(oidc_refetch_s=30)
    for number in range(20):
        await taken(oidc, issuer.token(header={"kid": f"k{number}"}))
    assert len(issuer.asked) == 2, "the discovery and the keys"


async def test_an_issuer_that_is_away_is_believed_for_a_while_and_no_longer(
    issuer: Issuer, clock: FrozenClock, reasons: list[str]
) -> None:
    oidc = issuer.oidc(oidc_keys_s=3600)
    assert await taken(oidc, issuer.token())
    issuer.away = True
    clock.advance(3599)
    assert await taken(oidc, issuer.token())
    assert "no route" in reasons[-1]
    clock.advance(60)
    assert not await taken(oidc, issuer.token())
    issuer.away = False
    clock.advance(60)
    assert await taken(oidc, issuer.token())


async def test_without_the_issuer_nobody_comes_in(issuer: Issuer) -> None:
    issuer.away = True
    assert not await taken(issuer.oidc(), issuer.token())


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        ({"issuer": "https://other.example.com", "jwks_uri": f"{ISSUER}/keys"}, "RUNWRIGHT_OIDC_ISSUER"),
        ({"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"}, "not https"),
        ({"issuer": ISSUER}, "jwks_uri"),
    ],
)
async def test_a_discovery_that_is_not_the_issuers_is_refused(
    issuer: Issuer, reasons: list[str], discovery: dict[str, Any], reason: str
) -> None:
    issuer.discovery = discovery
    assert not await taken(issuer.oidc(), issuer.token())
    assert any(reason in each for each in reasons)


async def test_keys_that_are_no_signing_keys_of_ours_are_left_out(issuer: Issuer, reasons: list[str]) -> None:
    issuer.keys = {"wide": ec("wide", "P-384"), "good": ec("good")}
    good = issuer.keys["good"].as_dict(private=False)
    issuer.others = [
        {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "w" + "A" * 170},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": 7},
        {**good, "kid": "sealing", "use": "enc"},
        {**good, "kid": "other", "alg": "ES384"},
    ]
    oidc = issuer.oidc()
    for kid in ("weak", "shared", "broken", "sealing", "other", "wide"):
        assert not await taken(oidc, issuer.token("good", header={"kid": kid})), kid
        assert f"no key {kid!r}" in reasons[-1]
    assert await taken(oidc, issuer.token("good"))


async def test_a_token_without_a_key_id_is_taken_where_only_one_key_fits(issuer: Issuer) -> None:
    issuer.keys = {"a": rsa("a"), "b": ec("b")}
    token = signed(issuer.keys["a"], {}, issuer.claims())
    assert await taken(issuer.oidc(), token)
    issuer.keys["c"] = rsa("c")
    assert not await taken(issuer.oidc(), token)


async def test_the_strongest_role_that_the_claims_suggest_counts(issuer: Issuer) -> None:
    oidc = issuer.oidc(oidc_role_claim="groups", oidc_roles=("staff=viewer", "ops=operator", "root=admin"))
    for groups, role in (
        (["staff", "ops"], "operator"),
        ("root", "admin"),
        (["nobody", 7], None),
        (None, None),
        ({"root": 1}, None),
    ):
        assert (await oidc.identify(issuer.token(groups=groups))).role == role


async def test_keys_come_from_a_file_where_there_is_no_network(issuer: Issuer, tmp_path: Any) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    whole = config.load({}, overrides={"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(file)})
    assert await taken(Oidc(whole, issuer.clock, issuer_keys.fetcher(whole)), issuer.token())
    file.write_bytes(b"x" * (whole.oidc_document_max_bytes + 1))
    assert not await taken(Oidc(whole, issuer.clock, issuer_keys.fetcher(whole)), issuer.token())


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"oidc_issuer": ISSUER}, "oidc_audience"),
        ({"oidc_issuer": "http://login.example.com", "oidc_audience": "a"}, "oidc_issuer"),
        ({"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_jwks": "http://x.example.com"}, "oidc_jwks"),
        ({"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_provision": True}, "oidc_provision"),
        ({"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_role_claim": "groups"}, "oidc_role_claim"),
        ({"oidc_audience": "a"}, "oidc_audience"),
        ({"oidc_roles": ("a=king",)}, "oidc-roles"),
    ],
)
def test_settings_that_contradict_each_other_are_named(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        config.load({}, overrides=given)
    assert wrong in str(refused.value)
