"""The services, put together as they run and connected to nothing, so that they can be asked about themselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.specification import KafkaSubscriberSpecification
from faststream.kafka.subscriber.usecase import LogicSubscriber

from booking import bootstrap as booking
from booking.settings import Settings as BookingSettings
from gateway import bootstrap as gateway
from gateway.settings import Settings as GatewaySettings
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import service_environment
from local_stack.port import HOST, Ports
from notifications.bootstrap import Notifications
from notifications.settings import Settings as NotificationsSettings
from tenancy import bootstrap as tenancy
from tenancy.settings import Settings as TenancySettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Reception:
    """A service reads a topic: shared within a group, or (None) whole by each instance."""

    service: str
    topic: str
    group: str | None


@contextmanager
def _local_settings() -> Iterator[None]:
    """Let settings be those of the local stack."""
    ports = Ports()
    engines = Addresses(
        postgres_port=ports.postgres, redis_port=ports.redis, kafka_port=ports.kafka, credentials=Credentials()
    )
    environment = service_environment(engines, ports, f"http://{HOST}:{ports.issuer}")
    with patch.dict(os.environ, {name: value for own in environment.values() for name, value in own.items()}):
        yield


@dataclass(frozen=True, kw_only=True, slots=True)
class Applications:
    """The four services."""

    gateway: FastAPI
    booking: FastAPI
    tenancy: FastAPI
    notifications: Notifications


def assembled() -> Applications:
    """Put the services together."""
    with _local_settings():
        return Applications(
            gateway=gateway.build(GatewaySettings()),
            booking=booking.make_app(BookingSettings()),
            tenancy=tenancy.make_app(TenancySettings()),
            notifications=Notifications(NotificationsSettings()),
        )


def gateway_document() -> dict[str, Any]:
    """Give the OpenAPI document that the gateway serves."""
    with _local_settings():
        return gateway.build(GatewaySettings()).openapi()


def brokers() -> dict[str, KafkaBroker]:
    """Give the FastStream broker of each service."""
    services = assembled()
    return {
        "gateway": services.gateway.state.broker,
        "booking": services.booking.state.broker,
        "tenancy": services.tenancy.state.broker,
        "notifications": services.notifications.broker,
    }


def receptions() -> Iterator[Reception]:
    """Tell who receives what: every topic of every subscriber."""
    for service, broker in brokers().items():
        for subscriber in broker.subscribers:
            specification = subscriber.specification
            assert isinstance(subscriber, LogicSubscriber)  # noqa: S101 - what a Kafka broker has, by its types too
            assert isinstance(specification, KafkaSubscriberSpecification)  # noqa: S101 - the same
            for topic in specification.topics:
                yield Reception(service=service, topic=topic, group=subscriber.group_id)
