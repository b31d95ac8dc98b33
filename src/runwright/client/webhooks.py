"""Calls about webhooks: who is told of events of runs, and what became of each message."""

from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.accounts import RotatedWebhookSecret, WebhookDelivery, WebhookSubscription
from runwright.client.fields import DeliveryFilters, PageOptions, SubscriptionChanges, SubscriptionFields
from runwright.client.pages import Pages
from runwright.client.transport import Transport


class Webhooks:
    """Subscribe to events of runs, see what was delivered, and send it again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[SubscriptionFields]
    ) -> WebhookSubscription:
        """Make a subscription; its `signing_secret` is in this answer and never again.

        So the request is not sent again after a cut: it would find the subscription, and not its secret.
        """
        path = "/v1/webhooks/subscriptions"
        return await self._transport.made(WebhookSubscription, path, fields, idempotency_key, repeatable=False)

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[WebhookSubscription]:
        """Return the subscriptions of a project, or all that the caller may see; newest first."""
        return self._transport.pages(
            WebhookSubscription, "/v1/webhooks/subscriptions", {"project_id": project_id, **page}
        )

    async def get(self, subscription_id: str) -> WebhookSubscription:
        """Return a subscription, without its secret."""
        return await self._transport.one(WebhookSubscription, "GET", _path(subscription_id))

    async def update(self, subscription_id: str, **fields: Unpack[SubscriptionChanges]) -> WebhookSubscription:
        """Change a subscription; one that is enabled again begins anew."""
        return await self._transport.one(WebhookSubscription, "PATCH", _path(subscription_id), body=fields)

    async def delete(self, subscription_id: str) -> None:
        """Delete a subscription; the log of its deliveries stays."""
        await self._transport.send("DELETE", _path(subscription_id))

    async def rotate_secret(
        self, subscription_id: str, *, grace_secs: float | None = None, idempotency_key: str | None = None
    ) -> RotatedWebhookSecret:
        """Give a subscription a new `signing_secret`; the old one signs beside it for `grace_secs` more.

        Not sent again after a cut: an answer that was lost has taken the secret with it.
        """
        body = {} if grace_secs is None else {"grace_secs": grace_secs}
        path = f"{_path(subscription_id)}/rotate-secret"
        return await self._transport.made(RotatedWebhookSecret, path, body, idempotency_key, repeatable=False)

    async def ping(self, subscription_id: str) -> WebhookDelivery:
        """Send a message that only shows that messages arrive; `delivery` tells what was answered."""
        return await self._transport.one(WebhookDelivery, "POST", f"{_path(subscription_id)}/ping")

    def deliveries(self, **filters: Unpack[DeliveryFilters]) -> Pages[WebhookDelivery]:
        """Return what was sent or is to be, newest first."""
        return self._transport.pages(WebhookDelivery, "/v1/webhooks/deliveries", filters)

    async def delivery(self, delivery_id: str) -> WebhookDelivery:
        """Return a delivery."""
        return await self._transport.one(WebhookDelivery, "GET", _delivery(delivery_id))

    async def redeliver(self, delivery_id: str) -> WebhookDelivery:
        """Send a message again that arrived or was given up, under the same id."""
        return await self._transport.one(WebhookDelivery, "POST", f"{_delivery(delivery_id)}/redeliver")

    async def schemas(self) -> dict[str, Any]:
        """Return the types of messages: type → JSON Schema (2020-12) of the body."""
        schemas: dict[str, Any] = (await self._transport.send("GET", "/v1/schemas/webhooks")).json()
        return schemas


def _path(subscription_id: str) -> str:
    return f"/v1/webhooks/subscriptions/{quote(subscription_id, safe='')}"


def _delivery(delivery_id: str) -> str:
    return f"/v1/webhooks/deliveries/{quote(delivery_id, safe='')}"
