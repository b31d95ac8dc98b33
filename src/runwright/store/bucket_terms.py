"""Where artifacts lie, if not beside the database: a bucket, and how it is reached."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.instants import HOUR_US
from runwright.domain.ports import ArtifactStore
from runwright.errors import InvalidSettings


class BucketTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How a bucket is reached, as the settings `s3_*` say it. What is not said, the variables `AWS_*` may say."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    access_key_id: str | None
    secret_access_key: str | None
    path_style: bool
    certificates: bytes | None
    encryption: str | None
    kms_key_id: str | None
    connect_s: float
    request_s: float
    retries: int
    retry_s: float
    orphan_us: int

    @property
    def name(self) -> str:
        """Return what the bucket is called where something is wrong with it."""
        return f"the bucket {self.bucket}" + (f" at {self.endpoint}" if self.endpoint else "")

    @property
    def plain(self) -> bool:
        """Tell whether it is reached without TLS."""
        return (self.endpoint or "").startswith("http://")

    def config(self) -> dict[str, Any]:
        """Return what the client is told, in its words."""
        said = {
            "endpoint": self._address(),
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "server_side_encryption": self.encryption,
            "sse_kms_key_id": self.kms_key_id,
        }
        told = {name: value for name, value in said.items() if value is not None}
        return told | {"virtual_hosted_style_request": not self.path_style, "checksum_algorithm": "SHA256"}

    def _address(self) -> str | None:
        """Return the address; without path style it names the bucket before the host."""
        if self.endpoint is None or self.path_style:
            return self.endpoint
        parts = urlsplit(self.endpoint)
        return parts._replace(netloc=f"{self.bucket}.{parts.netloc}").geturl()


def bucket_terms(settings: Settings) -> BucketTerms | None:
    """Return how the bucket is reached; None where artifacts lie beside the database. Raises `InvalidSettings`."""
    if settings.s3_bucket is None:
        for name in ("s3_endpoint", "s3_access_key_id", "s3_secret_access_key", "s3_ca_file", "s3_kms_key_id"):
            if getattr(settings, name) is not None:
                raise InvalidSettings.at(name, "means nothing without s3_bucket")
        return None
    if (settings.s3_access_key_id is None) != (settings.s3_secret_access_key is None):
        raise InvalidSettings.at("s3_access_key_id", "goes with s3_secret_access_key: give both, or none")
    if settings.s3_kms_key_id is not None and not settings.s3_encryption.startswith("aws:kms"):
        raise InvalidSettings.at("s3_kms_key_id", "goes with s3_encryption=aws:kms")
    return BucketTerms(
        bucket=settings.s3_bucket,
        prefix=settings.s3_prefix.strip("/"),
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
        path_style=settings.s3_path_style,
        certificates=_read(settings.s3_ca_file),
        encryption=None if settings.s3_encryption == "bucket" else settings.s3_encryption,
        kms_key_id=settings.s3_kms_key_id,
        connect_s=settings.s3_connect_s,
        request_s=settings.s3_request_s,
        retries=settings.s3_retries,
        retry_s=settings.s3_retry_s,
        orphan_us=int(settings.artifact_orphan_h * HOUR_US),
    )


class ProbedArtifacts(ArtifactStore, Protocol):
    """An `ArtifactStore` that can be tried."""

    async def probe(self) -> None:
        """Write, find, read and remove an object. Raises `StoreUnavailable`, which says what is wrong."""


def bucket(settings: Settings, clock: Clock) -> ProbedArtifacts | None:
    """Return the artifacts in the bucket that the settings name, None where they name none.

    Nothing is asked of it yet. Raises `InvalidSettings`, also where the extra `s3` is missing.
    """
    terms = bucket_terms(settings)
    if terms is None:
        return None
    try:
        module: Any = importlib.import_module("runwright.store.bucket")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("runwright"):
            raise
        raise InvalidSettings.at("s3_bucket", "needs the extra `s3`: pip install 'runwright[s3]'") from None
    return cast("ProbedArtifacts", module.BucketArtifacts(terms, settings.artifact_max_bytes, clock))


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as failure:
        raise InvalidSettings.at("s3_ca_file", f"cannot be read: {failure.strerror}") from None
