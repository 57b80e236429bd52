"""How tenancy is put together: the only place that knows every class."""

from fastapi import FastAPI

from production_contracts.roles import Permission
from servicekit.deciding_service import DecidingService
from tenancy.application.decider import TenancyDecider
from tenancy.entrypoints.http import roster_routes
from tenancy.entrypoints.members import member_routes
from tenancy.settings import Settings


def make_app(settings: Settings) -> FastAPI:
    """Make the application: commands in from Kafka, reads over HTTP.

    It answers after publication: whoever is told that there is an artist can book it at once (cause before effect).
    """
    service = DecidingService(settings, "tenancy", reads=Permission.ROSTER_READ, answers_after_publication=True)
    service.decide(TenancyDecider())
    namespaces = {issuer.issuer: issuer.namespace for issuer in settings.auth_issuers}
    return service.app(roster_routes(service.owner), member_routes(service.owner, namespaces))
