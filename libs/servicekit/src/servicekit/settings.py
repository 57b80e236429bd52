"""What every service can be told through its environment.

Flat fields in small mixins; a service combines those it needs and states its prefix::

    class Settings(ServiceSettings, KafkaSettings):
        model_config = settings_config("BOOKING_")
        http_port: int = port_field(8002)
"""

import socket
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from production_contracts.topics import PARTITIONS_LOCAL
from servicekit.access import KafkaAccess, Mechanism, Protocol

Port = Annotated[int, Field(ge=0, le=65535)]


def _check_network(value: str) -> str:
    ip_network(value)
    return value


Network = Annotated[str, AfterValidator(_check_network)]
"""An address, or a network in CIDR notation."""


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
    http_trusted_proxies: list[Network] = Field(
        default=[],
        description="JSON list of the addresses or networks of proxies before us, whose `X-Forwarded-For` says who the"
        " client is; empty: nobody's word is taken, the client is who has connected",
    )
    http_connections: int = Field(
        default=16_384, ge=1, description="Connections at once at most; beyond it only health and metrics are answered"
    )
    http_shutdown_seconds: int = Field(
        default=20, ge=1, le=600, description="How long requests in hand may take to finish at a shutdown"
    )


class KafkaSettings(BaseSettings):
    """Where Kafka is, and as whom we come."""

    kafka_bootstrap: str = Field(description="Bootstrap servers, `host:port` separated by commas", min_length=1)
    kafka_security_protocol: Protocol = Field(
        default="PLAINTEXT",
        description="`SASL_SSL` outside of one machine; with `SSL` TLS is 1.3, with `SASL` we log in",
    )
    kafka_sasl_mechanism: Mechanism = Field(
        default="SCRAM-SHA-512", description="How we log in; `PLAIN` shows the password to the broker"
    )
    kafka_username: str | None = Field(default=None, description="Our principal; needed with `SASL`")
    kafka_password: str | None = Field(default=None, repr=False, description="Its password; needed with `SASL`")
    kafka_ca_file: Path | None = Field(
        default=None, description="Whose certificates are trusted, in PEM; default: those that the system trusts"
    )
    kafka_partitions: int = Field(
        default=PARTITIONS_LOCAL, ge=1, description="Partitions of every topic, as created; never changed afterwards"
    )

    @model_validator(mode="after")
    def _logs_in_as_somebody(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (self.kafka_username and self.kafka_password):
            message = f"kafka_security_protocol {self.kafka_security_protocol} needs kafka_username and kafka_password"
            raise ValueError(message)
        return self

    @property
    def kafka(self) -> KafkaAccess:
        """What our clients of Kafka are made from."""
        return KafkaAccess(
            bootstrap=self.kafka_bootstrap,
            protocol=self.kafka_security_protocol,
            mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_username,
            password=self.kafka_password,
            ca_file=self.kafka_ca_file,
        )


class ProvisioningSettings(KafkaSettings):
    """What the job that provisions Kafka is told, as ``PROVISIONING_*``; it comes as a super user of the broker."""

    model_config = settings_config("PROVISIONING_")

    kafka_replication: int = Field(default=1, ge=1, description="Copies of each partition")
    passwords: dict[str, str] = Field(
        default={},
        repr=False,
        description='JSON object {"<principal>": "<password>"}; a principal that is not named keeps what it has',
    )


class DeadLetterSettings(BaseSettings):
    """How many records may be put aside."""

    dead_letters_in_a_row: int = Field(
        default=50, ge=1, description="Records in a row that a consumer puts aside; at one more it stops"
    )
    dead_letters_ratio: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Part of the last 1,000 records of a partition that a consumer puts aside; at more it stops",
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
