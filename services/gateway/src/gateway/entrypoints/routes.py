"""Which operation answers at which address."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.entrypoints import tenants
from gateway.entrypoints.admission import OPERATION
from gateway.entrypoints.artists import Artists
from gateway.entrypoints.bookings import Bookings
from gateway.entrypoints.records import Records
from gateway.entrypoints.tenants import Tenants
from gateway.entrypoints.webhooks import Webhooks

Operate = Callable[[Request], Awaitable[Response]]


def routes(
    bookings: Bookings, artists: Artists, of_tenant: Tenants, records: Records, webhooks: Webhooks
) -> list[Route]:
    """List the routes: one per address, so that ``Allow`` names every method that it knows."""
    return [
        _route("/v1/bookings", POST=bookings.create, GET=bookings.find),
        _route("/v1/bookings/{id}", GET=bookings.show, PATCH=bookings.amend),
        _route("/v1/bookings/{id}/confirm", POST=bookings.confirm),
        _route("/v1/bookings/{id}/cancel", POST=bookings.cancel),
        _route("/v1/bookings/{id}/reschedule", POST=bookings.reschedule),
        _route("/v1/bookings/{id}/events", GET=bookings.history),
        _route("/v1/artists", POST=artists.create, GET=artists.find),
        _route("/v1/artists/{id}", GET=artists.show, PATCH=artists.amend),
        _route("/v1/artists/{id}/archive", POST=artists.archive),
        _route("/v1/artists/{id}/availability", GET=bookings.availability),
        _route("/v1/events", GET=records.events),
        _route("/v1/audit", GET=records.audit),
        _route("/v1/commands/{id}", GET=records.command),
        _route(tenants.PATH, GET=of_tenant.show, DELETE=of_tenant.delete),
        _route("/v1/members", GET=records.members),
        _route("/v1/webhooks/clerk", POST=webhooks.clerk),
    ]


def _route(path: str, **operations: Operate) -> Route:
    if "GET" in operations:
        operations["HEAD"] = operations["GET"]

    async def operate(request: Request) -> Response:
        request.scope[OPERATION] = f"{request.method} {path}"
        return await operations[request.method](request)

    return Route(path, operate, methods=list(operations), include_in_schema=False)
