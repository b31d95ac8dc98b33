"""`runwright keys`: who may call the API."""

from typing import Any, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import Yes, confirm, instant
from runwright.client.accounts import Key
from runwright.client.fields import KeyFields

app = App(name="keys", help="List, make, rotate and revoke API keys.")


@app.command(name="list")
def list_keys(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List keys, without their tokens.

    Example: `runwright keys list`
    """
    with connection.client() as client:
        keys = client.keys.list(limit=min(limit, 500)).first(limit)
    if connection.json:
        printing.show_json([key.raw for key in keys])
        return
    printing.table(
        ("id", "name", "prefix", "scopes", "project", "created", "expires", "revoked"),
        [
            (k.id, k.name, k.prefix, " ".join(k.scopes), k.project_id, k.created_at, k.expires_at, k.revoked_at)
            for k in keys
        ],
    )


@app.command
def get(key: str, /, *, connection: Connection = HERE) -> None:
    """Show a key, without its token.

    Example: `runwright keys get KEY`
    """
    with connection.client() as client:
        printing.show_record(client.keys.get(key), connection.json)


@app.command
def create(
    name: str,
    /,
    *,
    scope: tuple[str, ...],
    project: str | None = None,
    user: str | None = None,
    expires_at: str | None = None,
    service: bool = False,
    connection: Connection = HERE,
) -> None:
    """Make a key; its token is shown this once.

    Example: `runwright keys create ci --scope jobs:trigger --scope runs:read --project default`

    Parameters
    ----------
    name
        Name for people.
    scope
        What the key may do, such as `runs:read` or `jobs:trigger`; repeatable.
    project
        Id or slug of the one project that it may see; default: all of the organization.
    user
        Id of the user whose key it is; default: the caller's own.
    expires_at
        Instant of its end, such as 2027-01-01T00:00:00Z.
    service
        A key of a program, of no user.
    """
    fields: dict[str, Any] = {"name": name, "scopes": list(scope)}
    if project is not None:
        fields["project_id"] = project
    if user is not None:
        fields["user_id"] = user
    if expires_at is not None:
        fields["expires_at"] = instant(expires_at, "--expires-at")
    if service:
        fields["service"] = True
    with connection.client() as client:
        _show_token(client.keys.create(**cast(KeyFields, fields)), connection)


@app.command
def rotate(
    key: str, /, *, grace_s: float | None = None, expires_at: str | None = None, connection: Connection = HERE
) -> None:
    """Give a key a new token, shown this once.

    Example: `runwright keys rotate KEY --grace-s 86400`

    Parameters
    ----------
    key
        Id of the key.
    grace_s
        Seconds for which the old token stays valid.
    expires_at
        Instant of the new one's end; default: it lives as long as the old one was made for.
    """
    until = None if expires_at is None else instant(expires_at, "--expires-at")
    with connection.client() as client:
        _show_token(client.keys.rotate(key, grace_s=grace_s, expires_at=until), connection)


@app.command
def revoke(key: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Revoke a key, at once and for ever.

    Example: `runwright keys revoke KEY --yes`
    """
    with connection.client() as client:
        if not yes:
            found = client.keys.get(key)
            confirm(
                f"This ends the key {found.id} ({found.name}, {found.prefix}…): whoever uses it is locked out.", yes
            )
        revoked = client.keys.revoke(key)
    if connection.json:
        printing.show_json(revoked.raw)
    else:
        printing.say(f"revoked {key}")


@app.command
def signing(*, connection: Connection = HERE) -> None:
    """List the public keys that sign evidence, the current one last; needs no API key.

    Example: `runwright keys signing`
    """
    with connection.client() as client:
        keys = client.evidence.keys().keys
    if connection.json:
        printing.show_json(keys)
        return
    printing.table(
        ("fingerprint", "since", "until"), [(key.get("key_id"), key.get("since"), key.get("until")) for key in keys]
    )


@app.command
def rotate_signing(*, yes: Yes = False, connection: Connection = HERE) -> None:
    """Let a new key sign evidence from now on; what the old ones signed goes on being verified with them.

    Example: `runwright keys rotate-signing --yes`
    """
    confirm("Whoever pins the key that signs now must learn the fingerprint of the new one.", yes)
    with connection.client() as client:
        printing.show_record(client.evidence.rotate_key(), connection.json)


def _show_token(key: Key, connection: Connection) -> None:
    if connection.json:
        printing.show_json(key.raw)
        return
    printing.detail(key.raw.items())
    printing.note("The token is not shown again: keep it now.")
