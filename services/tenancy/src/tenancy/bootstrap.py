"""How tenancy is put together: the only place that knows every class."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from fastapi import FastAPI

from production_contracts.roles import Permission
from servicekit.clerk import Facts
from servicekit.database import Database
from servicekit.deciding_service import DecidingService
from servicekit.keyring import Keyring
from tenancy.adapters.archive import Archive
from tenancy.adapters.clerk import ClerkApi
from tenancy.adapters.data_keys import DatabaseShelf
from tenancy.adapters.gateway import GatewayApi, Token
from tenancy.application.decider import TenancyDecider
from tenancy.application.export import Export
from tenancy.application.reconciliation import Reconciliation, Summary
from tenancy.entrypoints.http import roster_routes
from tenancy.entrypoints.keys import key_routes
from tenancy.entrypoints.members import member_routes
from tenancy.settings import Settings


async def reconcile(settings: Settings, secret_key: str) -> Summary:
    """Mend what webhooks missed, and tell what was mended.

    Raises:
        ClerkError: Clerk can't be asked; what was mended before stays mended.
        KeysAwayError: a master key can't be asked; as above.
    """
    async with AsyncExitStack() as stack:
        database = Database(settings.database, pool_size=2, command_timeout=settings.database_timeout_seconds)
        stack.push_async_callback(database.stop)
        keyring = None
        if settings.has_masters:
            keyring = Keyring(DatabaseShelf(database), await stack.enter_async_context(settings.masters()))
            stack.push_async_callback(keyring.stop)
        clerk = await stack.enter_async_context(ClerkApi(settings.clerk_api_url, secret_key))
        facts = Facts(settings.clerk_namespace, names=keyring is not None)
        return await Reconciliation(database, clerk, facts, keyring).run()


async def export(gateway: str, token: Token, out: Path, *, tell: Callable[[str], None]) -> None:
    """Write what a gateway tells of the token's tenant into a zip at ``out``; ``tell`` hears how far it got.

    Raises:
        ExportError: it can't be had; there is no zip.
        OSError: the zip can't be written, or is there already.
    """
    with Archive.at(out) as archive:
        async with GatewayApi(gateway, token, tell=tell) as source:
            await Export(source, archive, gateway=gateway, tell=tell).run()


def make_app(settings: Settings) -> FastAPI:
    """Make the application: commands in from Kafka, reads over HTTP.

    It answers after publication: whoever is told that there is an artist can book it at once (cause before effect).
    """
    service = DecidingService(settings, "tenancy", reads=Permission.ROSTER_READ, answers_after_publication=True)
    service.decide(TenancyDecider())
    namespaces = {issuer.issuer: issuer.namespace for issuer in settings.auth_issuers}
    return service.app(
        roster_routes(service.owner),
        member_routes(service.owner, namespaces),
        key_routes(DatabaseShelf(service.database), settings.keys_secrets),
    )
