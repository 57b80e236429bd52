"""What the stack tells a service is what the service asks for."""

from importlib import import_module

import pytest

from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import SERVICES, service_environment
from local_stack.port import Ports

ADDRESSES = Addresses(postgres_port=1, redis_port=2, kafka_port=3, credentials=Credentials())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_accepts_its_settings_and_knows_each_of_them(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = service_environment(ADDRESSES, Ports(), "http://127.0.0.1:8090")[service]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = import_module(f"{service}.settings").Settings()
    prefix = f"{service.upper()}_"
    assert all(name.startswith(prefix) for name in environment)
    assert {name.removeprefix(prefix).lower() for name in environment} <= type(settings).model_fields.keys()
    assert settings.http_port == getattr(Ports(), service)
    assert settings.kafka == ADDRESSES.kafka_access(service)
    assert settings.kafka.bootstrap == "127.0.0.1:3"


def test_databases_can_be_named() -> None:
    environment = service_environment(
        ADDRESSES, Ports(), "http://127.0.0.1:8090", databases={"booking": "b1", "tenancy": "t1"}
    )
    assert environment["booking"]["BOOKING_DATABASE_URL"].endswith("@127.0.0.1:1/b1")
    assert environment["tenancy"]["TENANCY_DATABASE_OWNER_URL"].startswith("postgresql+asyncpg://tenancy_owner:")
