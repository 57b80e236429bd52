"""What every service can be told through its environment.

Flat fields in small mixins; a service combines those it needs and states its prefix::

    class Settings(ServiceSettings, KafkaSettings):
        model_config = settings_config("BOOKING_")
        http_port: int = port_field(8002)
"""

import socket
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from production_contracts.topics import PARTITIONS_LOCAL

Port = Annotated[int, Field(ge=0, le=65535)]


def settings_config(prefix: str) -> SettingsConfigDict:
    """Configure a service's settings: its prefix, and that no value shows up in an error message."""
    return SettingsConfigDict(env_prefix=prefix, extra="ignore", frozen=True, hide_input_in_errors=True)


class ServiceSettings(BaseSettings):
    """What every service has: a name for the replica, logs, and where it listens."""

    instance: str = Field(
        default_factory=socket.gethostname,
        description="Name of this replica, the same after a restart (a StatefulSet's pod name); default: the host's",
        min_length=1,
        max_length=200,
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is logged"
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="`json` for machines, `console` for a developer's terminal"
    )
    http_host: str = Field(default="127.0.0.1", description="Address to listen on; loopback unless told otherwise")
    http_port: Port = Field(description="Port to listen on; 0 takes a free one")
    http_connections: int = Field(
        default=16_384, ge=1, description="Connections at once at most; beyond it only health and metrics are answered"
    )
    http_shutdown_seconds: int = Field(
        default=20, ge=1, le=600, description="How long requests in hand may take to finish at a shutdown"
    )


class KafkaSettings(BaseSettings):
    """Where Kafka is."""

    kafka_bootstrap: str = Field(description="Bootstrap servers, `host:port` separated by commas", min_length=1)
    kafka_partitions: int = Field(
        default=PARTITIONS_LOCAL, ge=1, description="Partitions of every topic, as created; never changed afterwards"
    )


class DeadLetterSettings(BaseSettings):
    """How many records may be put aside, and who may send them again."""

    dead_letters_in_a_row: int = Field(
        default=50, ge=1, description="Records in a row that a consumer puts aside; at one more it stops"
    )
    dead_letters_ratio: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Part of the last 1,000 records of a partition that a consumer puts aside; at more it stops",
    )
    deadletters_kafka_username: str | None = Field(
        default=None, description="Kafka principal of the tool `deadletters`; unused while Kafka asks for none"
    )
    deadletters_kafka_password: str | None = Field(
        default=None, repr=False, description="Its password; unused while Kafka asks for none"
    )


class DatabaseSettings(BaseSettings):
    """Where the service's own PostgreSQL database is."""

    database_url: str = Field(
        repr=False, description="postgresql+asyncpg:// URL of the serving role, which owns nothing and bypasses nothing"
    )
    database_owner_url: str | None = Field(
        default=None, repr=False, description="The same database as the role that owns the tables: for `migrate` only"
    )
    database_pool_size: int = Field(default=10, ge=1, le=200, description="Connections kept open at most")
    database_timeout_seconds: float = Field(
        default=10.0, gt=0, le=300, description="Deadline of a statement and of a wait for a connection"
    )


class RedisSettings(BaseSettings):
    """Where Redis is."""

    redis_url: str = Field(repr=False, description="redis:// or rediss:// URL")


class IssuerSettings(BaseModel):
    """An issuer of tokens that we accept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="The `iss` claim, exactly")
    jwks_url: str = Field(min_length=1, description="Where its public keys are published")
    namespace: UUID = Field(description="Namespace of its tenants: tenant_id = uuid5(namespace, org_id)")


class AuthSettings(BaseSettings):
    """Whose tokens are accepted."""

    auth_issuers: list[IssuerSettings] = Field(
        min_length=1, description='JSON list of {"issuer", "jwks_url", "namespace"}'
    )
    auth_authorized_parties: list[str] = Field(
        default=[], description="JSON list of the origins that may hold a token (`azp`); empty: any"
    )
    auth_leeway_seconds: int = Field(
        default=5, ge=0, le=60, description="Tolerated difference between the issuer's clock and ours"
    )
    auth_longest_token_seconds: int = Field(
        default=24 * 60 * 60,
        ge=60,
        description="Longest life of a token; one that lives longer is refused, removals are kept in mind this long",
    )
