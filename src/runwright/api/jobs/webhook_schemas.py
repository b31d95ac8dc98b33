"""The shapes of webhooks on the wire: subscriptions, and the log of deliveries."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.jobs.job_schemas import Grace, ProjectIdent
from runwright.api.pages import PageQuery
from runwright.domain.job_options import Description, WebhookUrl
from runwright.domain.webhooks import ENDS, EventTypes, Outcome
from runwright.engine.signing_secrets import GRACE_S

Text256 = Annotated[str, Meta(min_length=1, max_length=256)]


class CreateSubscriptionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new subscription: an address that is told of events of a project's runs."""

    project_id: ProjectIdent | None = None
    url: WebhookUrl
    event_types: EventTypes = ENDS
    description: Description = ""
    enabled: bool = True


class UpdateSubscriptionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a subscription; a field that is named is replaced whole."""

    url: WebhookUrl | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class RotateWebhookSecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long (seconds) the secret that is replaced goes on signing beside the new one."""

    grace_secs: Grace = GRACE_S


class SubscriptionQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of subscriptions; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class DeliveryQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of the log of deliveries, all combinable."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None
    subscription_id: Annotated[Text256 | None, Meta(description="Those of one subscription.")] = None
    job_id: Annotated[Text256 | None, Meta(description="Those of a job's own `webhook_url`.")] = None
    run_id: Annotated[Text256 | None, Meta(description="Those about one run.")] = None
    event_type: Annotated[Text256 | None, Meta(description="Those of one type of event.")] = None
    status: Annotated[Outcome | None, Meta(description="Those that wait, that arrived, or that were given up.")] = None


class WebhookSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription. `signing_secret` is null but in the one answer that made it.

    `failing_since` is when the deliveries began to fail of which none has arrived since; `disabled_at` with its reason
    is there when the server switched the subscription off.
    """

    id: str
    subscription_id: str
    org_id: str
    project_id: str
    url: str
    event_types: tuple[str, ...]
    description: str
    enabled: bool
    created_at: str
    created_by: str
    updated_at: str
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: str | None
    signing_secret: str | None


class RotatedWebhookSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new signing secret, shown this once; null where an idempotency key found that it was made before."""

    subscription_id: str
    signing_secret: str | None
    previous_expires_at: str | None


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message for one address, and how far it came; `webhook_id` is the same in every attempt.

    It is either a subscription's or that of a job with a `webhook_url`. `response_status` and `error` are those of the
    latest attempt.
    """

    id: str
    delivery_id: str
    org_id: str
    project_id: str
    subscription_id: str | None
    job_id: str | None
    webhook_id: str
    event_type: str
    run_id: str | None
    status: Outcome
    attempt: int
    response_status: int | None
    error: str | None
    created_at: str
    next_attempt_at: str | None
    last_attempt_at: str | None
    finished_at: str | None
