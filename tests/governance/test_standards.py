"""What a bundle holds is what the standards say: RFC 6962, RFC 8032, DSSE, in-toto, SARIF, and a zip for anybody."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from securesystemslib.dsse import Envelope
from securesystemslib.signer._key import SSlibKey

from runwright.domain.chain import genesis, verify
from runwright.domain.delivery_events import Committed
from runwright.domain.events import Draft
from runwright.domain.evidence import Profile
from runwright.domain.evidence_summary import Summary
from runwright.domain.redaction import compose
from runwright.domain.sarif import sarif
from runwright.domain.tree import EMPTY, Tree, leaf, node
from runwright.governance.verifier import log as shipped
from runwright.governance.verifier.ed25519 import verify_signature
from tests.domain.specimens import SPECIMENS, links
from tests.governance.bundles import bundle, files_of, lived, signer

SARIF = json.loads(Path(__file__).with_name("fixtures").joinpath("sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [  # of the first n leaves, as certificate-transparency's own tests have them
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """Return the Merkle tree hash as RFC 6962 (2.1) defines it, word for word."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaf(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(mth(leaves[:split]), mth(leaves[split:]))


def test_scenario_9_the_root_of_each_prefix_is_that_of_the_vectors_of_rfc_6962():
    tree, other = Tree(), shipped.Tree()
    assert (tree.root.hex(), other.root()) == (ROOTS[0], ROOTS[0])
    for each, root in zip(LEAVES, ROOTS[1:], strict=True):
        tree.add(bytes.fromhex(each))
        other.add(bytes.fromhex(each))
        assert (tree.root.hex(), other.root()) == (root, root)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=4), max_size=40))
def test_the_root_is_that_of_the_definition(leaves: list[bytes]):
    tree, other = Tree(), shipped.Tree()
    for each in leaves:
        tree.add(each)
        other.add(each)
    assert tree.root == mth(leaves) == bytes.fromhex(other.root())


VECTORS = [  # RFC 8032, 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
        "55141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
        "00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
        "027beceea1ec40a",
    ),
]


@pytest.mark.parametrize("vector", VECTORS)
def test_signatures_of_rfc_8032_are_valid_and_others_are_not(vector: tuple[str, str, str]):
    key, message, signature = map(bytes.fromhex, vector)
    assert verify_signature(key, message, signature)
    assert not verify_signature(key, message + b"x", signature)
    for at in (0, 31, 32, 63):
        assert not verify_signature(key, message, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :])
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not verify_signature(key, message, signature[:32] + larger), "a signature is written in one way"


@settings(deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=64), bit=st.integers(0, 511))
def test_what_cryptography_signs_is_verified_and_nothing_else(seed: bytes, message: bytes, bit: int):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify_signature(key, message, signature)
    altered = (int.from_bytes(signature, "little") ^ (1 << bit)).to_bytes(64, "little")
    assert not verify_signature(key, message, altered)


def test_scenario_9_the_envelope_verifies_with_securesystemslib_and_states_what_the_manifest_is():
    by = signer()
    files = files_of(bundle(lived(), by=by))
    envelope = Envelope.from_dict(json.loads(files["attestations/run.dsse.json"]))
    public = by.keys[-1].public_key.hex()
    key = SSlibKey(by.key_id, "ed25519", "ed25519", {"public": public})
    assert envelope.verify([key], 1) == {by.key_id: key}
    told = json.loads(envelope.payload)
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["subject"] == [
        {"name": "manifest.json", "digest": {"sha256": sha256(files["manifest.json"]).hexdigest()}}
    ]
    assert told["predicate"]["root"] == json.loads(files["chain.json"])["root"]


COMMITTED = Committed(
    commit_sha="c" * 40,
    tree_sha="d" * 40,
    base_sha="b" * 40,
    branch="omar/run_1",
    repo="https://example.org/r.git",
    run_id="run_1",
    checkpoint_id="apr_1",
    bundle_sha256="e" * 64,
    bundle_bytes=100,
)


@pytest.mark.parametrize("profile", ["full", "auditor", "public"])
def test_a_commit_that_was_made_is_attested_with_what_it_came_from_where_the_profile_shows_it(profile: Profile):
    files = files_of(bundle(lived(Draft("delivery.committed", compose(COMMITTED))), profile))
    name = f"attestations/commit-{COMMITTED.commit_sha}.dsse.json"
    assert (name in files) is (profile != "public")
    if profile == "public":
        return
    envelope = Envelope.from_dict(json.loads(files[name]))
    public = signer().keys[-1]
    key = SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.public_key.hex()})
    envelope.verify([key], 1)
    told = json.loads(envelope.payload)
    assert (told["_type"], told["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    assert told["subject"] == [{"name": COMMITTED.repo, "digest": {"gitCommit": COMMITTED.commit_sha}}]
    built = told["predicate"]["buildDefinition"]
    assert built["resolvedDependencies"] == [{"uri": COMMITTED.repo, "digest": {"gitCommit": COMMITTED.base_sha}}]


def test_the_log_of_a_bundle_is_the_chain_of_the_run():
    for make in SPECIMENS.values():
        history = make()
        files = files_of(bundle(history, earlier=0, values=()))
        chain = json.loads(files["chain.json"])
        lines = [json.loads(line) for line in files["timeline.ndjson"].splitlines()]
        assert verify(genesis(history.command.opening), links(history.events), bytes.fromhex(chain["head"])) is None
        assert [line["hash"] for line in lines] == [event.hash.hex() for event in history.events]
        tree = Tree()
        for event in history.events:
            tree.add(event.hash)
        assert chain["root"] == tree.root.hex()


def test_any_reader_of_zips_finds_the_files_of_the_contract(tmp_path: Path):
    path = tmp_path / "b.zip"
    path.write_bytes(bundle(lived()))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = {info.filename for info in archive.infolist()}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert names >= {
        "manifest.json", "timeline.ndjson", "chain.json", "audit.ndjson", "redaction.json", "findings.sarif",
        "findings.json", "gates.json", "approvals.json", "usage.json", "VERIFY.md", "verify.py",
        "attestations/run.dsse.json",
    }  # fmt: skip


def valid(document: Any) -> None:
    fault = next(jsonschema_rs.Draft4Validator(SARIF).iter_errors(document), None)
    assert fault is None, fault


FINDING: dict[str, Any] = {
    "rule_id": "no-eval", "severity": "P1", "file": "a b/ü.py", "line": 3, "summary": "eval \u202e of input",
    "fingerprint": "f1", "baseline_state": "unchanged", "sources": ["ruff"],
}  # fmt: skip


def test_scenario_9_findings_are_sarif_as_oasis_has_it_also_when_there_are_none():
    valid(json.loads(files_of(bundle(lived()))["findings.sarif"]))
    odd: list[dict[str, Any]] = [
        {"finding_id": 7},
        {"severity": "P9", "line": 0, "file": "x"},
        {**FINDING, "state": "suppressed"},
    ]
    made = sarif("run_1", "1.2.3", [FINDING, *odd], succeeded=False, scanned=True)
    valid(made)
    results = made["runs"][0]["results"]
    assert [each["level"] for each in results] == ["error", "none", "none", "error"]
    assert results[0]["partialFingerprints"] == {"omar/v2": "f1"}
    assert (results[0]["baselineState"], results[3]["suppressions"][0]["status"]) == ("unchanged", "accepted")


def test_a_run_that_nothing_scanned_says_so():
    (run,) = json.loads(files_of(bundle(lived()))["findings.sarif"])["runs"]
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "No scanner ran in this run."
    assert json.loads(files_of(bundle(lived()))["findings.json"])["scanned"] is False


def test_what_events_say_of_findings_gates_and_approvals_is_told_beside_the_log():
    history = lived()
    event = history.events[0]
    summary = Summary()
    told: list[tuple[str, dict[str, Any]]] = [
        ("finding.opened", {**FINDING, "baseline_state": "new"}),
        ("finding.opened", {**FINDING, "fingerprint": "f2", "severity": "P3"}),
        ("finding.fixed", FINDING),
        ("gate.result", {"gate_id": "tests", "status": "red"}),
        ("gate.result", {"gate_id": "tests", "status": "green"}),
        ("approval.requested", {"checkpoint_id": "apr_1"}),
    ]
    for number, (kind, data) in enumerate(told):
        draft = Draft("log", compose(data))
        event = type_of(history.events[0], kind, draft.data)
        summary.take(event, shown=number != 5)
    counts = summary.counts()
    assert {name: counts[name] for name in ("P0", "P1", "P3", "new", "fixed", "unchanged", "scanned")} == {
        "P0": 0, "P1": 0, "P3": 1, "new": 0, "fixed": 1, "unchanged": 1, "scanned": True,
    }  # fmt: skip
    assert [gate["status"] for gate in summary.gates()] == ["green"]
    assert "checkpoint_id" not in summary.approvals()[0]
    assert summary.approvals()[0]["withheld"] is True


def type_of(event: Any, type: str, data: bytes) -> Any:
    return replace(event, type=type, data=data)


def test_usage_is_summed_by_model_and_an_unknown_cost_is_no_zero():
    told = json.loads(files_of(bundle(lived()))["usage.json"])
    assert told["total"] == {
        "calls": 2, "input_tokens": 200, "cached_tokens": 80, "output_tokens": 20, "cost_microusd": 7,
        "calls_of_unknown_cost": 1, "calls_estimated": 0,
    }  # fmt: skip
    assert [(each["provider"], each["model"], each["calls"]) for each in told["by_model"]] == [("scripted", "echo", 2)]
