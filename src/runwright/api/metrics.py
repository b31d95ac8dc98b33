"""The metrics of this server, for Prometheus."""

from starlette.responses import Response

from runwright.api.context import Call
from runwright.api.routing import Routes

routes = Routes(tag="health")


@routes.get(
    "/metrics",
    scope="metrics:read",
    opened_by="metrics_public",
    media="text/plain",
    summary="Read the metrics of the server",
)
async def get_metrics(call: Call) -> Response:
    """Answer in the text form of Prometheus or in OpenMetrics, by what is accepted.

    The setting `metrics_public` lets everybody read.
    """
    page, media_type = await call.services.metrics.page(call.header("accept"))
    return Response(page, headers={"content-type": media_type, "cache-control": "no-store"})
