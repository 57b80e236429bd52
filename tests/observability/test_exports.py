"""Rules and panels, held to what each running service answers at `/metrics`."""

import re

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant
from local_stack.clients.watcher import Watcher
from local_stack.observability import check
from local_stack.observability.exports import exports
from local_stack.observability.promql import SERVICES
from local_stack.observability.queries import asked, metric_of
from local_stack.system import SystemAddresses

Exported = dict[str, dict[str, set[frozenset[str]]]]
"""By service and metric, the sets of labels that its samples have; none where it has no sample yet."""
SWITCHED_OFF = {"product_events_total"}
"""Exported only where there is a key for PostHog."""


async def scrape(session: aiohttp.ClientSession, url: str) -> dict[str, set[frozenset[str]]]:
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    told: dict[str, set[frozenset[str]]] = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(("python_", "process_")) or family.name.endswith("_created"):
            continue  # of the client library
        name = family.name + ("_total" if family.type == "counter" else "")
        told[name] = {frozenset(sample.labels.keys() - {"le"}) for sample in family.samples}
    return told


@pytest.fixture(scope="module")
async def exported(system: SystemAddresses, session: aiohttp.ClientSession) -> Exported:
    """What the services export once somebody has booked, read and watched."""
    tenant = Tenant(name="observed", at=system, session=session)
    async with Watcher(
        system.notifications_urls[0], system.token(tenant=tenant.name, user="ana", role="admin")
    ) as watcher:
        artist = await tenant.caller().make("/v1/artists", name="Observed")
        await tenant.caller().make("/v1/bookings", artist_id=artist["id"], title="Seen", notes="by all", **night())
        await watcher.reached("booking", 1)
    urls = {
        "gateway": system.gateway_url,
        "booking": system.booking_url,
        "tenancy": system.tenancy_url,
        "notifications": system.notifications_urls[0],
    }
    return {service: await scrape(session, urls[service]) for service in SERVICES}


async def test_the_services_export_what_the_code_says(exported: Exported) -> None:
    told = exports()
    assert set().union(*exported.values()) >= told.keys() - SWITCHED_OFF, "each metric is exported by somebody"
    for service, families in exported.items():
        for name, labels in families.items():
            assert labels <= {frozenset(told[name].labels)}, f"{service}: {name}"


async def test_a_query_that_names_a_service_asks_for_what_that_one_exports(exported: Exported) -> None:
    told = exports()
    looked = 0
    for where, query in check.queries():
        for series, matchers in asked(query):
            metric = metric_of(series, told)
            jobs = [matcher.value for matcher in matchers if matcher.name == "job"]
            for service in jobs[0].split("|") if jobs and metric else ():
                assert metric in exported[service], f"{where}: {service} does not export {series}"
                looked += 1
    assert looked > 10


async def test_what_is_always_there_has_samples_from_the_start(exported: Exported) -> None:
    """An alert on a counter without labels sees its first count, as it was 0 before."""
    for service, families in exported.items():
        for name, labels in families.items():
            assert labels or exports()[name].labels, f"{service}: {name} has no sample"
        assert families["health_check_passed"], service


async def test_patterns_of_routes_find_routes_of_the_gateway(
    system: SystemAddresses, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{system.gateway_url}/openapi.json") as response:
        routes = set((await response.json())["paths"])
    patterns = {
        matcher.value
        for _, query in check.queries()
        for _, matchers in asked(query)
        for matcher in matchers
        if matcher.name == "route" and "/v1" in matcher.value
    }
    assert patterns
    for pattern in patterns:
        assert any(re.fullmatch(pattern, route) for route in routes), pattern
