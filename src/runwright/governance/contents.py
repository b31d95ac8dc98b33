"""The files of one bundle, written as the run is read: the timeline line by line, then what is told beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from runwright.auth.signing_keys import Signer
from runwright.domain import evidence as forms
from runwright.domain.cast import RECORDED, Cast
from runwright.domain.events import Event
from runwright.domain.evidence import Profile, SignedHead, document
from runwright.domain.evidence_summary import Summary
from runwright.domain.redaction import Redactor
from runwright.domain.sarif import sarif
from runwright.domain.terminal_events import OUTPUT
from runwright.engine.kept_values import KeptValue
from runwright.errors import StoreError
from runwright.governance.heads import signed
from runwright.governance.packing import Bundle, Packer
from runwright.governance.verifier.source import verifier_source
from runwright.store.audit import Entry
from runwright.store.audit import digest as audit_digest
from runwright.store.base import Record
from runwright.telemetry import report

SECRETS_LISTED = 1000
_MARKER = re.compile(rb"\[redacted:([a-z_]+)\]")
_GUIDE = Path(__file__).with_name("VERIFY.md")
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


class Contents:
    """Fills a packer with what a profile shows of a run."""

    def __init__(
        self, record: Record, genesis: bytes, profile: Profile, redactor: Redactor, packer: Packer, version: str
    ) -> None:
        self.profile = profile
        self.log = forms.Log(record.run.run_id, genesis)
        self._record = record
        self._genesis = genesis
        self._redactor = redactor
        self._packer = packer
        self._version = version
        self._summary = Summary()
        self._shows: dict[str, bool] = {}
        self._withheld = {"profile": 0, "secret": 0, "erased": 0}
        self._secrets: list[int] = []
        self._rules: dict[str, int] = {}
        self._artifacts: list[dict[str, Any]] = []
        self._held: set[str] = set()
        self._documents: dict[str, Any] = {}
        self._manifest = self._envelope = b""
        self._provenance: list[bytes] = []
        self.cast = Cast(record.run.run_id, record.run.started_at or record.run.spec.created_at)
        self.printed = 0
        """How many events the recording of the terminal is made of."""

    def events(self, page: Sequence[Event]) -> bool:
        """Write events; false where one does not belong to the log. Raises `StoreError` where redaction fails."""
        lines = []
        clear = self._redactor.clear(b"\n".join(part for event in page for part in _told(event)))
        for event in page:
            digest = self.log.step(event)
            if digest is None:
                return False
            why = self._why(event, clear=clear)
            if why is not None:
                self._withheld[why] += 1
            self._summary.take(event, shown=why is None)
            self.printed += event.type == OUTPUT and why is None
            lines.append(forms.line(event, digest, withheld=why is not None))
        self._packer.write(b"".join(lines))
        return True

    def _why(self, event: Event, *, clear: bool) -> str | None:
        """Return why the data of an event are withheld; None where they are shown. What is `clear` holds no secret."""
        if event.data is None:
            return "erased"
        shown = self._shows.get(event.type)
        if shown is None:
            shown = self._shows[event.type] = forms.shows(self.profile, event.type)
        if not shown:
            return "profile"
        if not clear and self._holds_secret(event, event.data):
            if len(self._secrets) < SECRETS_LISTED:
                self._secrets.append(event.seq)
            return "secret"
        if b"[redacted:" in event.data or "[redacted:" in event.message:
            self._count(event.data + event.message.encode())
        return None

    def _holds_secret(self, event: Event, data: bytes) -> bool:
        """Tell whether something would be hidden now that was not when it was written: its digest allows no change."""
        try:
            clean = self._redactor.raw(data)
            if clean != data and _decode(clean) != _decode(data):
                return True
            return bool(event.message) and self._redactor.text(event.message) != event.message
        except Exception as failure:
            report("evidence.redaction_failed", run_id=event.run_id, seq=event.seq, error=repr(failure))
            raise StoreError(
                f"event {event.seq} of the log could not be redacted, so the evidence is not handed out",
                code="evidence.redaction_failed",
            ) from failure

    def _count(self, text: bytes) -> None:
        for kind in _MARKER.findall(text):
            name = kind.decode()
            self._rules[name] = self._rules.get(name, 0) + 1

    def terminal(self, event: Event) -> None:
        """Write what was printed, in the file of the recording; what the timeline withholds is not in it either."""
        if event.type not in RECORDED or event.seq > self.log.tree.size or event.data is None:
            return
        if not self._holds_secret(event, event.data):
            self._packer.write(self.cast.line(event))

    def value(self, kept: KeptValue) -> None:
        """Write a value as an artifact under the digest of what is shown of it; an auditor is told that it is there."""
        told: dict[str, Any] = {
            "artifact_id": kept.ident,
            "kind": kept.kind,
            "key": kept.key,
            "media_type": "application/json",
        }
        if self.profile != "full" or kept.shown is None:
            self._artifacts.append(told | {"withheld": True})
            return
        digest = sha256(kept.shown).hexdigest()
        self._artifacts.append(told | {"bytes": len(kept.shown), "sha256": digest, "redacted": kept.redacted})
        if kept.redacted:
            self._count(kept.shown)
        if digest not in self._held:
            self._held.add(digest)
            self._packer.add(f"artifacts/{digest}", kept.shown)

    def close(self, head: SignedHead, entries: Sequence[tuple[Entry, bytes | None]], signer: Signer) -> None:
        """Write all that is told beside the log, and sign it."""
        told = entries if self.profile != "public" else ()
        heads = sorted(signed(list(entries)), key=lambda each: each.size)
        earlier = [msgspec.structs.asdict(each) for each in heads if each.size < head.size]
        run, log = self._record.run, self._log()
        chain = {**log, "sealed": run.terminal, "algorithm": "sha256", "canonicalization": "RFC8785"}
        chain |= {"scheme": "RFC6962", "tree_head": msgspec.structs.asdict(head), "earlier_heads": earlier}
        self._documents = {
            "chain.json": chain,
            "redaction.json": self._redaction(len(entries) - len(told)),
            "findings.json": self._summary.counts(),
            "gates.json": {"gates": self._summary.gates()},
            "approvals.json": {"approvals": self._summary.approvals()},
            "usage.json": self._summary.usage(),
            "findings.sarif": sarif(
                run.run_id,
                self._version,
                self._summary.findings,
                succeeded=run.state == "completed",
                scanned=self._summary.scanned,
            ),
        }
        for name, value in self._documents.items():
            self._packer.add(name, document(value))
        self._packer.add("audit.ndjson", b"".join(_audited(entry, before) for entry, before in told))
        self._packer.add("VERIFY.md", _GUIDE.read_bytes())
        self._packer.add("verify.py", verifier_source())
        signers = {signer.key_id, head.key_id, *(each["key_id"] for each in earlier)}
        for commit in self._summary.commits:
            payload = forms.provenance(run.run_id, commit)
            signature = signer.sign(forms.signed_bytes(forms.STATEMENT_TYPE, payload))
            self._provenance.append(forms.envelope(payload, signer.key_id, signature))
            self._packer.add(f"attestations/commit-{commit.commit_sha}.dsse.json", self._provenance[-1])
        self._sign(signer, signers, [entry.number for entry, _ in told])

    def _sign(self, signer: Signer, key_ids: set[str], numbers: list[int]) -> None:
        keys = [
            {"key_id": key.key_id, "public_key": key.public_key.hex(), "since": key.since, "until": key.until}
            for key in signer.keys
            if key.key_id in key_ids
        ]
        manifest = {
            "format": forms.FORMAT,
            "generator": {"name": "runwright", "version": self._version},
            "profile": self.profile,
            "sealed": self._record.run.terminal,
            "run": self._run(),
            "log": self._log(),
            "files": [msgspec.structs.asdict(file) for file in self._packer.files],
            "artifacts": self._artifacts,
            "audit": numbers,
            "keys": keys,
        }
        self._manifest = document(manifest)
        told = {"profile": self.profile, "sealed": self._record.run.terminal, "state": self._record.run.state}
        told |= {**self._log(), "usage": self._summary.usage()["total"]}
        payload = forms.statement({"manifest.json": sha256(self._manifest).hexdigest()}, told)
        signature = signer.sign(forms.signed_bytes(forms.STATEMENT_TYPE, payload))
        self._envelope = forms.envelope(payload, signer.key_id, signature)
        self._documents["manifest.json"] = manifest

    def _log(self) -> dict[str, Any]:
        tree = self.log.tree
        return {
            "run_id": self.log.run_id,
            "genesis": self._genesis.hex(),
            "size": tree.size,
            "root": tree.root.hex(),
            "head": self.log.hash.hex(),
        }

    def _run(self) -> dict[str, Any]:
        """Return where the run stands; texts of its own are in the profile `full` alone."""
        run, spec = self._record.run, self._record.run.spec
        told: dict[str, Any] = {
            name: getattr(spec, name) for name in ("run_id", "org_id", "project_id", "kind", "job_id")
        }
        told |= {"created_at": spec.created_at, "created_by": spec.created_by, "trace_id": spec.trace_id}
        told |= {name: getattr(run, name) for name in ("state", "reason", "attempt", "started_at", "finished_at")}
        told |= {"error_class": run.error_class, "erased_at": self._record.erased_at}
        if self.profile == "full" and run.error is not None:
            told["error"] = self._redactor.text(run.error)
        return told

    def _redaction(self, entries_withheld: int) -> dict[str, Any]:
        size = self.log.tree.size
        applied = bool(self._rules or self._withheld["secret"])
        return {
            "status": "applied" if applied else "none",
            "profile": self.profile,
            "events": {"total": size, "shown": size - sum(self._withheld.values()), "withheld": self._withheld},
            "events_with_secrets": self._secrets,
            "rules": [{"id": name, "count": count} for name, count in sorted(self._rules.items())],
            "audit_entries_withheld": entries_withheld,
            "commitments": True,
        }

    def zipped(self) -> Bundle:
        """Return the bundle as a zip."""
        front = [("manifest.json", self._manifest), ("attestations/run.dsse.json", self._envelope)]
        return self._packer.archive(front, sha256(self._manifest).hexdigest())

    def as_json(self) -> Bundle:
        """Return what the bundle tells as one JSON document."""
        files = {file.name: file for file in self._packer.files}
        timeline, told = files["timeline.ndjson"], self._documents
        manifest, run_id = told["manifest.json"], self.log.run_id
        first = {
            "schema": forms.FORMAT,
            "run": manifest["run"],
            "profile": self.profile,
            "sealed": manifest["sealed"],
            "generator": manifest["generator"],
            "integrity": {
                "algorithm": "sha256",
                "canonicalization": "RFC8785",
                "chain": {"genesis": manifest["log"]["genesis"], "head": manifest["log"]["head"], "verified": True},
                "merkle": {
                    "scheme": "RFC6962",
                    "tree_size": manifest["log"]["size"],
                    "root": manifest["log"]["root"],
                    "tree_head": told["chain.json"]["tree_head"],
                },
                "earlier_heads": told["chain.json"]["earlier_heads"],
                "keys": manifest["keys"],
                "manifest_sha256": sha256(self._manifest).hexdigest(),
            },
            "redaction": told["redaction.json"],
            "findings": {**told["findings.json"], "sarif": told["findings.sarif"]},
            "gates": told["gates.json"]["gates"],
            "approvals": told["approvals.json"]["approvals"],
            "usage": told["usage.json"],
            "artifacts": [_linked(run_id, each) for each in self._artifacts],
            "attestations": [
                {"predicateType": forms.RUN_PREDICATE, "envelope": _decode(self._envelope)},
                *({"predicateType": forms.PROVENANCE, "envelope": _decode(each)} for each in self._provenance),
            ],
            "audit": manifest["audit"],
            "zip_href": f"/api/v1/runs/{run_id}/evidence?format=zip&profile={self.profile}",
        }
        size = manifest["log"]["size"]
        counted = {"count": size, "first_seq": 1, "last_seq": size, "media_type": "application/x-ndjson"}
        counted["sha256"] = timeline.sha256
        begin = b'%b,"timeline":%b,"events":[' % (_encode(first)[:-1], _encode(counted)[:-1])
        lines = self._packer.stretch("timeline.ndjson")
        joined = lines._replace(size=lines.size - 1, joined=True)
        return self._packer.composed([begin, joined, b"]}}\n"], f"json-{first['integrity']['manifest_sha256']}")


def _told(event: Event) -> tuple[bytes, bytes]:
    return event.data or b"", event.message.encode()


def _linked(run_id: str, told: dict[str, Any]) -> dict[str, Any]:
    return told | {"href": f"/api/v1/runs/{run_id}/artifacts/{told['artifact_id']}"}


def _audited(entry: Entry, before: bytes | None) -> bytes:
    """Return an entry of the audit log on one line; its data stand last, byte for byte."""
    head = {
        "action": entry.action,
        "actor": entry.actor,
        "created_at": entry.created_at,
        "data_digest": audit_digest(entry),
        "hash": entry.hash.hex(),
        "number": entry.number,
        "prev_hash": (before or b"").hex(),
        "target": entry.target,
    }
    return b'%b,"data":%b}\n' % (_encode(head)[:-1], entry.data)
