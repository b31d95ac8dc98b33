"""The routes of webhooks: subscriptions, the log of their deliveries, and the shapes of the messages."""

from __future__ import annotations

from typing import Any

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.jobs import webhook_schemas as wire
from runwright.api.pages import Page
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain import webhooks as domain
from runwright.engine.deliveries import Wanted
from runwright.engine.signing_secrets import Rotated
from runwright.errors import InvalidRequest

routes = Routes("webhooks")
SCOPE = "webhooks:write"
NOWHERE = {404: "The project is not the caller's"}
FULL = {429: "The project has as many subscriptions as it may"}
WAITING = {409: "The message is still being delivered"}


@routes.post(
    "/v1/webhooks/subscriptions",
    scope=SCOPE,
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE | FULL,
    summary="Subscribe to events of runs",
)
async def create_subscription(call: Call, body: wire.CreateSubscriptionRequest) -> Reply[wire.WebhookSubscription]:
    """Let an address be told of events of a project's runs. Its signing secret is shown this once."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    names = ("url", "event_types", "description", "enabled")
    fields = {name: getattr(body, name) for name in names}
    subscriptions = call.services.engine.webhooks.subscriptions
    made = await subscriptions.create(call.actor, project, fields, idempotency_key(call))
    return Reply(subscription_view(*made.value), 200 if made.repeated else 201)


@routes.get("/v1/webhooks/subscriptions", scope=SCOPE, answers=NOWHERE, summary="List webhook subscriptions")
async def list_subscriptions(call: Call, query: wire.SubscriptionQuery) -> Page[wire.WebhookSubscription]:
    """List the subscriptions of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    named = query.project_id
    project = await call.services.tenants.resolve_project(call.actor, named) if named is not None else None
    rows = await call.services.engine.webhooks.subscriptions.page(call.actor, project, part(window, "whs"))
    return Page.of(rows, window, subscription_view, lambda row: row.subscription_id)


@routes.get("/v1/webhooks/subscriptions/{subscription_id}", scope=SCOPE, summary="Get a webhook subscription")
async def get_subscription(call: Call, subscription_id: str) -> wire.WebhookSubscription:
    """Return a subscription, without its secret."""
    return subscription_view(await call.services.engine.webhooks.subscriptions.get(call.actor, subscription_id))


@routes.patch("/v1/webhooks/subscriptions/{subscription_id}", scope=SCOPE, summary="Change a webhook subscription")
async def update_subscription(
    call: Call, subscription_id: str, body: wire.UpdateSubscriptionRequest
) -> wire.WebhookSubscription:
    """Change the fields that are named. One that is enabled again begins anew: what failed before does not count."""
    subscriptions = call.services.engine.webhooks.subscriptions
    return subscription_view(await subscriptions.update(call.actor, subscription_id, given(body)))


@routes.delete(
    "/v1/webhooks/subscriptions/{subscription_id}", scope=SCOPE, status=204, summary="Delete a webhook subscription"
)
async def delete_subscription(call: Call, subscription_id: str) -> None:
    """Delete a subscription: what was not delivered is given up, the log of its deliveries stays."""
    await call.services.engine.webhooks.subscriptions.delete(call.actor, subscription_id)


@routes.post(
    "/v1/webhooks/subscriptions/{subscription_id}/rotate-secret",
    scope=SCOPE,
    headers=HEADERS,
    answers={409: "The idempotency key was used otherwise"},
    summary="Rotate the signing secret of a subscription",
)
async def rotate_subscription_secret(
    call: Call,
    subscription_id: str,
    body: wire.RotateWebhookSecretRequest = wire.RotateWebhookSecretRequest(),  # noqa: B008 - frozen
) -> wire.RotatedWebhookSecret:
    """Give a subscription a new secret, shown this once; until the grace is over, the old one signs beside it."""
    subscriptions, key = call.services.engine.webhooks.subscriptions, idempotency_key(call)
    return rotated_view((await subscriptions.rotate(call.actor, subscription_id, body.grace_secs, key)).value)


@routes.post(
    "/v1/webhooks/subscriptions/{subscription_id}/ping", scope=SCOPE, status=201, summary="Try a webhook subscription"
)
async def ping_subscription(call: Call, subscription_id: str) -> wire.WebhookDelivery:
    """Send a message of the type `webhook.ping`, and return its delivery: reading that tells what was answered."""
    webhooks = call.services.engine.webhooks
    return delivery_view(await webhooks.deliveries.ping(await webhooks.subscriptions.get(call.actor, subscription_id)))


@routes.get("/v1/webhooks/deliveries", scope=SCOPE, answers=NOWHERE, summary="List webhook deliveries")
async def list_deliveries(call: Call, query: wire.DeliveryQuery) -> Page[wire.WebhookDelivery]:
    """List what was sent, or is to be, newest first."""
    window = query.window(call.services.settings, order="desc")
    wanted = await _wanted(call, query)
    found = await call.services.engine.webhooks.deliveries.page(call.actor, wanted, part(window, "whd"))
    if found.scanned_to is not None:
        return Page([delivery_view(each) for each in found.deliveries], found.scanned_to, partial=True)
    return Page.of(found.deliveries, window, delivery_view, lambda row: row.delivery_id)


@routes.get("/v1/webhooks/deliveries/{delivery_id}", scope=SCOPE, summary="Get a webhook delivery")
async def get_delivery(call: Call, delivery_id: str) -> wire.WebhookDelivery:
    """Return a delivery."""
    return delivery_view(await call.services.engine.webhooks.deliveries.get(call.actor, delivery_id))


@routes.post(
    "/v1/webhooks/deliveries/{delivery_id}/redeliver", scope=SCOPE, answers=WAITING, summary="Send a message again"
)
async def redeliver(call: Call, delivery_id: str) -> wire.WebhookDelivery:
    """Send a message again that arrived or was given up, under the same `webhook-id`."""
    return delivery_view(await call.services.engine.webhooks.deliveries.redeliver(call.actor, delivery_id))


@routes.get("/v1/schemas/webhooks", scope="runs:read", summary="The JSON Schema of every webhook message")
async def get_webhook_schemas(call: Call) -> dict[str, dict[str, Any]]:
    """Return the types of messages: type → JSON Schema (2020-12) of the body."""
    return domain.schemas()


async def _wanted(call: Call, query: wire.DeliveryQuery) -> Wanted:
    if query.subscription_id is not None and query.job_id is not None:
        raise InvalidRequest.at("job_id", "cannot be combined with subscription_id: a delivery is of one or the other")
    project_id = None
    if query.project_id is not None:
        project_id = (await call.services.tenants.resolve_project(call.actor, query.project_id)).project_id
    return Wanted(
        project_id=project_id,
        source=query.subscription_id or query.job_id,
        run_id=query.run_id,
        event_type=query.event_type,
        outcome=query.status,
    )


def subscription_view(kept: domain.Subscription, secret: str | None = None) -> wire.WebhookSubscription:
    """Return a subscription as the wire shows it, with the signing secret if the verb has just made it."""
    return wire.WebhookSubscription(
        id=kept.subscription_id,
        subscription_id=kept.subscription_id,
        org_id=kept.org_id,
        project_id=kept.project_id,
        url=kept.url,
        event_types=kept.event_types,
        description=kept.description,
        enabled=kept.enabled,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
        failing_since=_text(kept.failing_since),
        disabled_at=_text(kept.disabled_at),
        disabled_reason=kept.disabled_reason,
        signing_secret=secret,
    )


def rotated_view(rotated: Rotated) -> wire.RotatedWebhookSecret:
    """Return a new secret as the wire shows it."""
    return wire.RotatedWebhookSecret(
        subscription_id=rotated.owner_id,
        signing_secret=rotated.secret,
        previous_expires_at=_text(rotated.previous_until),
    )


def delivery_view(delivery: domain.Delivery) -> wire.WebhookDelivery:
    """Return a delivery as the wire shows it."""
    of_job = delivery.source.startswith("job_")
    return wire.WebhookDelivery(
        id=delivery.delivery_id,
        delivery_id=delivery.delivery_id,
        org_id=delivery.org_id,
        project_id=delivery.project_id,
        subscription_id=None if of_job else delivery.source,
        job_id=delivery.source if of_job else None,
        webhook_id=delivery.event_id,
        event_type=delivery.event_type,
        run_id=delivery.run_id,
        status=delivery.outcome,
        attempt=delivery.attempt,
        response_status=delivery.response_status,
        error=delivery.error,
        created_at=instants.text(delivery.created_at),
        next_attempt_at=_text(delivery.next_attempt_at),
        last_attempt_at=_text(delivery.last_attempt_at),
        finished_at=_text(delivery.ended_at),
    )


def _text(at: int | None) -> str | None:
    return None if at is None else instants.text(at)
