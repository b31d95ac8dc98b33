import hashlib
import os

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from runwright.domain import chain
from runwright.domain.chain import Break, Header, Link, body, data_digest, genesis, link, verify

SAFE = st.integers(min_value=0, max_value=2**53 - 1)
# Every character that UTF-8 can carry; the names of usage are ASCII, as the catalogue makes them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
USAGE = st.dictionaries(st.text(st.characters(max_codepoint=127)), SAFE | SAFE.map(lambda n: -n) | TEXTS, max_size=6)
HEADERS = st.builds(
    Header,
    actor=TEXTS,
    created_at=SAFE,
    data_digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    run_id=TEXTS,
    seq=SAFE,
    type=TEXTS,
    usage=USAGE,
)
PREV = hashlib.sha256(b"before").digest()
SPEC = genesis(b'{"job":"index"}')


def make_log(length, first=SPEC):
    prev, log = first, []
    for seq in range(1, length + 1):
        salt, data = os.urandom(16), f'{{"n":{seq}}}'.encode()
        usage: chain.Usage = {"input_tokens": seq} if seq % 3 == 0 else {}
        event = Link("worker:1", 1_800_000_000_000_000 + seq, "run_1", seq, "log", usage, b"", salt, data)
        event = replace(event, hash=link(prev, header_of(event)))
        prev = event.hash
        log.append(event)
    return log


def header_of(event):
    digest = data_digest(event.salt, event.data).hex()
    return Header(event.actor, event.created_at, digest, event.run_id, event.seq, event.type, event.usage)


@given(HEADERS)
def test_a_header_is_hashed_in_the_form_of_rfc_8785(header):
    canonical = rfc8785.dumps(asdict(header))
    assert link(PREV, header) == hashlib.sha256(b"\x01" + PREV + canonical).digest()


def test_the_fields_of_the_header_are_declared_in_sorted_order():
    assert list(Header.__struct_fields__) == sorted(Header.__struct_fields__)


def test_the_order_of_usage_does_not_matter():
    header = Header("a", 1, "00", "run_1", 1, "log", {"b": 1, "a": "x"})
    assert link(PREV, header) == link(PREV, replace(header, usage={"a": "x", "b": 1}))


def test_a_known_vector_stays_as_it_is():
    header = Header("user:1", 1_800_000_000_000_000, "ab" * 32, "run_1", 7, "run.started", {"input_tokens": 3})
    text = (
        '{"actor":"user:1","created_at":1800000000000000,"data_digest":"' + "ab" * 32 + '","run_id":"run_1",'
        '"seq":7,"type":"run.started","usage":{"input_tokens":3}}'
    )
    assert link(bytes(32), header) == hashlib.sha256(b"\x01" + bytes(32) + text.encode()).digest()
    assert genesis(b"{}") == hashlib.sha256(b"{}").digest()
    assert data_digest(b"s" * 16, b"{}") == hashlib.sha256(b"s" * 16 + b"{}").digest()


@pytest.mark.parametrize("usage", [{"tokens": 2**53}, {"tokens": -(2**53)}, {"a": 1, "tokens": 2**63 - 1}])
def test_integers_that_rfc_8785_cannot_hold_are_refused(usage):
    with pytest.raises(ValueError, match="too large"):
        link(PREV, Header("a", 1, "00", "run_1", 1, "log", usage))
    with pytest.raises(ValueError, match="too large"):
        link(PREV, Header("a", 2**53, "00", "run_1", 1, "log", {}))


@pytest.mark.parametrize("salt", [b"", b"s" * 15, b"s" * 17])
def test_a_salt_of_another_length_is_refused(salt):
    with pytest.raises(ValueError, match="16 bytes"):
        data_digest(salt, b"{}")


@given(st.integers(min_value=0, max_value=12))
def test_an_untouched_log_verifies(length):
    log = make_log(length)
    assert verify(SPEC, log) is None
    assert verify(SPEC, iter(log), head=log[-1].hash if log else SPEC) is None


@given(st.data())
def test_a_log_verifies_without_its_data(data):
    log = make_log(6)
    for place in data.draw(st.sets(st.integers(min_value=0, max_value=5))):
        event = log[place]
        log[place] = replace(event, salt=None, data=None, digest=data_digest(event.salt, event.data))
    assert verify(SPEC, log) is None


EDITS = {
    "actor": "user:evil",
    "created_at": 1,
    "run_id": "run_2",
    "type": "run.completed",
    "usage": {"input_tokens": 10**6},
    "hash": bytes(32),
    "data": b'{"n":0}',
    "salt": bytes(16),
    "digest": bytes(32),
}


@given(st.integers(min_value=1, max_value=8), st.sampled_from(sorted(EDITS)))
def test_the_first_edited_event_is_named(seq, field):
    log = make_log(8)
    log[seq - 1] = replace(log[seq - 1], **{field: EDITS[field]})
    assert verify(SPEC, log) == Break(seq, "edited")


@given(st.integers(min_value=1, max_value=8))
def test_data_replaced_by_another_digest_is_an_edit(seq):
    log = make_log(8)
    log[seq - 1] = replace(log[seq - 1], salt=None, data=None, digest=bytes(32))
    assert verify(SPEC, log) == Break(seq, "edited")


@pytest.mark.parametrize("lost", [{"salt": None}, {"data": None}, {"salt": b"short"}])
def test_an_event_that_lacks_what_its_digest_needs_does_not_pass(lost):
    log = make_log(3)
    log[1] = replace(log[1], **lost)
    assert verify(SPEC, log) == Break(2, "edited")


def test_bytes_cannot_move_from_the_data_into_the_salt():
    log = make_log(2)
    event = log[0]
    log[0] = replace(event, salt=event.salt + event.data[:1], data=event.data[1:])
    assert verify(SPEC, log) == Break(1, "edited")


@given(st.integers(min_value=1, max_value=7))
def test_the_first_dropped_event_is_named(seq):
    log = make_log(8)
    del log[seq - 1]
    assert verify(SPEC, log) == Break(seq, "dropped")


@given(st.integers(min_value=0, max_value=7))
def test_a_missing_end_shows_against_the_head(kept):
    log = make_log(8)
    assert verify(SPEC, log[:kept]) is None
    assert verify(SPEC, log[:kept], head=log[-1].hash) == Break(kept + 1, "dropped")


@given(st.integers(min_value=0, max_value=7), st.integers(min_value=1, max_value=8))
def test_the_first_reordered_event_is_named(first, apart):
    log = make_log(9)
    second = min(first + apart, 8)
    if first < second:
        log[first], log[second] = log[second], log[first]
        assert verify(SPEC, log) == Break(first + 1, "reordered")


@given(st.integers(min_value=1, max_value=8), st.integers(min_value=0, max_value=7))
def test_a_repeated_event_is_an_added_one(place, which):
    log = make_log(8)
    if which < place:
        log.insert(place, log[which])
        assert verify(SPEC, log) == Break(which + 1, "added")


@given(st.integers(min_value=0, max_value=4))
def test_events_added_after_the_end_show_against_the_head(length):
    log = make_log(length + 3)
    head = log[length - 1].hash if length else SPEC
    assert verify(SPEC, log, head=head) == Break(length + 1, "added")


def test_an_inserted_event_with_its_own_valid_hash_breaks_what_follows():
    log = make_log(4)
    forged = replace(log[2], data=b'{"n":99}')
    forged = replace(forged, hash=link(log[1].hash, header_of(forged)))
    moved = [replace(event, seq=event.seq + 1) for event in log[2:]]
    assert verify(SPEC, [*log[:2], forged, *moved]) == Break(4, "edited")


def test_another_specification_breaks_the_first_event():
    assert verify(genesis(b'{"job":"other"}'), make_log(3)) == Break(1, "edited")


def test_an_oversized_integer_in_a_stored_event_is_an_edit_and_no_crash():
    log = make_log(2)
    log[0] = replace(log[0], created_at=2**60)
    assert verify(SPEC, log) == Break(1, "edited")


def test_hashes_are_computed_by_no_hidden_state():
    assert make_log(2)[0].hash != make_log(2)[0].hash  # the salts differ
    assert chain.SALT_BYTES == 16


@given(
    st.sampled_from(["debug", "info"]), st.integers(0, 99), st.text(max_size=8), st.sampled_from([b"{}", b'{"a":1}']),
    st.sampled_from(["debug", "info"]), st.integers(0, 99), st.text(max_size=8), st.sampled_from([b"{}", b'{"a":1}']),
)  # fmt: skip
def test_no_two_events_have_one_body(level, epoch, message, data, other_level, other_epoch, other_message, other_data):
    same = (level, epoch, message, data) == (other_level, other_epoch, other_message, other_data)
    assert (body(level, epoch, message, data) == body(other_level, other_epoch, other_message, other_data)) == same
