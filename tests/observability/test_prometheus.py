"""Prometheus itself, with the settings of Compose, before the running services: it takes every rule and every query."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml

from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.observability import check
from local_stack.observability.files import RULES
from local_stack.observability.promql import SERVICES
from local_stack.observability.queries import plain
from local_stack.observability.rules import every_alert
from local_stack.port import HOST, free_ports
from local_stack.process import Child
from local_stack.system import SystemAddresses

PROGRAM = shutil.which("prometheus") or "/usr/bin/prometheus"


def here(at: SystemAddresses) -> dict[str, Any]:
    """Give the settings of Compose, with what runs here for names that Docker knows, and seconds for its intervals."""
    settings: dict[str, Any] = yaml.safe_load(check.PROMETHEUS.read_text())
    settings["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    urls = {
        "gateway": [at.gateway_url],
        "booking": [at.booking_url],
        "tenancy": [at.tenancy_url],
        "notifications": at.notifications_urls,
    }
    for job in settings["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [url.removeprefix("http://") for url in urls[job["job_name"]]]}]
    return settings


class Prometheus:
    """Its API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ready(self) -> bool:
        try:
            async with self._session.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def query(self, query: str) -> list[dict[str, Any]]:
        async with self._session.post(f"{self._url}/api/v1/query", data={"query": query}) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{query}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        async with self._session.get(f"{self._url}/api/v1/rules") as response:
            groups = (await response.json())["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
async def prometheus(
    system: SystemAddresses, session: aiohttp.ClientSession, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(here(system)))
    shutil.copy(RULES, folder / "rules.yaml")
    (port,) = free_ports(1)
    command = [
        PROGRAM,
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=data",
        f"--web.listen-address={HOST}:{port}",
    ]
    child = Child("prometheus", command, log=folder / "log", folder=folder)
    child.start()
    prometheus = Prometheus(session, f"http://{HOST}:{port}")

    async def ready() -> bool:
        assert child.alive, child.output()
        return await prometheus.ready()

    try:
        await until(ready, "Prometheus is ready")
        yield prometheus
    finally:
        child.stop()


async def test_it_finds_every_instance_and_each_is_ready(prometheus: Prometheus) -> None:
    async def found() -> bool:
        up = await prometheus.query('sum by (job) (up{system="production-tool"})')
        return {one["metric"]["job"]: one["value"][1] for one in up} == dict.fromkeys(SERVICES, "1") | {
            "notifications": "2"
        }

    await until(found, "all are scraped")
    checks = await prometheus.query('health_check_passed{required="yes"}')
    assert {one["metric"]["job"] for one in checks} == set(SERVICES)


async def test_it_evaluates_every_rule_and_records_what_was_asked(
    prometheus: Prometheus, system: SystemAddresses, session: aiohttp.ClientSession
) -> None:
    tenant = Tenant(name="measured", at=system, session=session)
    numbers = iter(range(1_000))

    async def recorded() -> bool:
        await tenant.artist(f"Rosa {next(numbers)}")
        found = await prometheus.query("slo:bad_per_all:ratio_rate1h < 2")
        return {one["metric"]["slo"] for one in found} >= {"available", "decided"}

    await until(recorded, "the objectives are recorded")

    async def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in await prometheus.rules())

    await until(evaluated, "every rule is evaluated")
    rules = await prometheus.rules()
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    alerts = {rule["name"] for rule in rules if rule["type"] == "alerting"}
    assert alerts == {alert.name for alert in every_alert()}


async def test_it_takes_the_query_of_every_panel(prometheus: Prometheus) -> None:
    for where, query in check.queries():
        assert isinstance(await prometheus.query(plain(query)), list), where
