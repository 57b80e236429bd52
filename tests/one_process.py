"""The four services in the process of a test, traced, so that it sees what each request sets off."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from booking import bootstrap as booking
from booking.settings import Settings as BookingSettings
from gateway import bootstrap as gateway
from gateway.settings import Settings as GatewaySettings
from local_stack.clients.waiting import until
from local_stack.databases import Database, Databases
from local_stack.engines import Engines
from local_stack.environment import service_environment
from local_stack.issuer import Issuer
from local_stack.port import Ports
from local_stack.provision import finish, start_provisioning
from local_stack.system import SystemAddresses
from notifications.bootstrap import Notifications
from notifications.settings import Settings as NotificationsSettings
from servicekit import tracing
from servicekit.testing import running
from tenancy import bootstrap as tenancy
from tenancy.settings import Settings as TenancySettings


@dataclass(frozen=True, kw_only=True)
class Services:
    """How to reach them, and booking's database."""

    at: SystemAddresses
    bookings: Database


@contextmanager
def traced() -> Iterator[InMemorySpanExporter]:
    """Trace whatever is put together inside, and keep every span."""
    exporter = InMemorySpanExporter()
    tracing.install("tests", "tests-1", exporter, at_once=True)
    try:
        yield exporter
    finally:
        tracing.uninstall()


async def _ready(session: aiohttp.ClientSession, url: str) -> None:
    async def look() -> bool:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200

    await until(look, f"{url} ready")


@asynccontextmanager
async def in_one_process(
    own_engines: Engines, issuer: Issuer, session: aiohttp.ClientSession
) -> AsyncIterator[Services]:
    """Run the services on engines that nobody else uses, until each is ready."""
    engines = own_engines.addresses
    await asyncio.to_thread(finish, [start_provisioning(engines, own_engines.logs)])
    databases = Databases(engines, logs=own_engines.logs)
    with (
        pytest.MonkeyPatch.context() as patched,
        databases.fresh("booking") as bookings,
        databases.fresh("tenancy") as t,
    ):
        named = {"booking": bookings.name, "tenancy": t.name}
        for environment in service_environment(engines, Ports.free(), issuer.url, databases=named).values():
            for name, value in environment.items():
                patched.setenv(name, value)
        async with AsyncExitStack() as stack:
            urls = {}
            urls["tenancy_url"] = await stack.enter_async_context(running(tenancy.make_app(TenancySettings())))
            patched.setenv("BOOKING_TENANCY_URL", urls["tenancy_url"])
            urls["booking_url"] = await stack.enter_async_context(running(booking.make_app(BookingSettings())))
            for name, url in urls.items():
                patched.setenv(f"NOTIFICATIONS_{name.upper()}", url)
                patched.setenv(f"GATEWAY_{name.upper()}", url)
            live = Notifications(NotificationsSettings())
            urls["notifications_url"] = await stack.enter_async_context(
                running(live.app, websockets=True, farewell=live.send_away)
            )
            urls["gateway_url"] = await stack.enter_async_context(
                running(gateway.build(GatewaySettings(rate_limit_timeout_seconds=5)))
            )
            for url in urls.values():
                await _ready(session, url)
            at = SystemAddresses(
                gateway_url=urls["gateway_url"],
                booking_url=urls["booking_url"],
                tenancy_url=urls["tenancy_url"],
                notifications_urls=(urls["notifications_url"],),
                engines=engines,
                issuer_url=issuer.url,
                issuer_pem=issuer.pem,
                logs=own_engines.logs,
            )
            yield Services(at=at, bookings=bookings)
