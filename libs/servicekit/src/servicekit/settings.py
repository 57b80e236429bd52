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
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, TypeAdapter, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from production_contracts.topics import PARTITIONS_LOCAL
from servicekit.access import DatabaseAccess, KafkaAccess, Mechanism, Protocol, RedisAccess
from servicekit.masters import KeyWrapper, LocalMaster, Masters
from servicekit.secrets import SecretsSettings
from servicekit.tls import CaFile, server_context
from servicekit.transit import TransitMaster
from servicekit.vault import Key

_MASTER_KEYS = TypeAdapter(dict[str, Key], config=ConfigDict(hide_input_in_errors=True))

Port = Annotated[int, Field(ge=0, le=65535)]


def _check_network(value: str) -> str:
    ip_network(value)
    return value


Network = Annotated[str, AfterValidator(_check_network)]
"""An address, or a network in CIDR notation."""


def _url_of(*schemes: str) -> AfterValidator:
    """Hold that something is a URL that can be taken apart: where it can't, libraries show pieces of the password."""

    def check(url: str) -> str:
        try:
            parts = urlsplit(url)
            is_good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_good = False
        if not is_good:
            message = f"it is to be a URL {schemes[0]}://...; what is special in a password is written as %XX"
            raise ValueError(message)
        return url

    return AfterValidator(check)


DatabaseUrl = Annotated[str, _url_of("postgresql+asyncpg")]
RedisUrl = Annotated[str, _url_of("redis", "rediss")]
HttpUrl = Annotated[str, _url_of("http", "https")]


def _check_dsn(value: str) -> str:
    parts = urlsplit(value)
    if not (parts.scheme in {"http", "https"} and parts.username and parts.hostname and parts.path.strip("/")):
        message = "a DSN is https://<key>@<host>/<project>"
        raise ValueError(message)
    return value


SentryDsn = Annotated[str, AfterValidator(_check_dsn)]


def settings_config(prefix: str) -> SettingsConfigDict:
    """Configure a service's settings: its prefix, and that no value shows up in an error message."""
    return SettingsConfigDict(env_prefix=prefix, extra="ignore", frozen=True, hide_input_in_errors=True)


class ServiceSettings(SecretsSettings):
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
    sentry_dsn: SentryDsn | None = Field(
        default=None, repr=False, description="Where Sentry hears of errors, `https://<key>@<host>/<project>`"
    )
    sentry_environment: str = Field(
        default="production", description="The environment that Sentry sorts them under", min_length=1, max_length=64
    )
    sentry_release: str | None = Field(
        default=None, description="The release that is at fault, such as an image's tag; default: our version"
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
    http_cert_file: FilePath | None = Field(
        default=None, description="Our certificate and its chain, in PEM: then HTTP is HTTPS, with TLS 1.3; read anew"
    )
    http_key_file: FilePath | None = Field(default=None, description="The key of that certificate, in PEM, unlocked")

    @model_validator(mode="after")
    def _holds_the_key_of_its_certificate(self) -> Self:
        if (self.http_cert_file is None) != (self.http_key_file is None):
            message = "http_cert_file and http_key_file are set together, or neither"
            raise ValueError(message)
        if self.http_cert_file is not None and self.http_key_file is not None:
            try:
                server_context(self.http_cert_file, self.http_key_file)
            except OSError:
                message = "http_cert_file and http_key_file must be PEM that we can read, and belong together"
                raise ValueError(message) from None
        return self


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
    kafka_ca_file: CaFile | None = Field(
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
        if self.kafka_ca_file is not None and not self.kafka_security_protocol.endswith("SSL"):
            message = "kafka_ca_file is of no use without TLS: kafka_security_protocol is to be SASL_SSL or SSL"
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


class ProvisioningSettings(SecretsSettings, KafkaSettings):
    """What the job that provisions Kafka is told, as ``PROVISIONING_*``; it comes as a super user of the broker."""

    model_config = settings_config("PROVISIONING_")

    kafka_replication: int = Field(default=1, ge=1, description="Copies of each partition")
    passwords: dict[str, str] = Field(
        default={},
        repr=False,
        description='JSON object {"<principal>": "<password>"}; a principal that is not named keeps what it has',
    )


class RedisUsersSettings(SecretsSettings):
    """What the job that writes Redis' file of users is told, as ``REDIS_USERS_*``."""

    model_config = settings_config("REDIS_USERS_")

    passwords: dict[str, str] = Field(
        repr=False, description='JSON object {"<user>": "<password>"}; a user that is not named is off'
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

    database_url: DatabaseUrl = Field(
        repr=False, description="postgresql+asyncpg:// URL of the serving role, which owns nothing and bypasses nothing"
    )
    database_owner_url: DatabaseUrl | None = Field(
        default=None, repr=False, description="The same database as the role that owns the tables: for `migrate` only"
    )
    database_read_url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="A replica of it, for reads that can tell by a position how far it is; default: there is none",
    )
    database_pool_size: int = Field(default=10, ge=1, le=200, description="Connections kept open at most")
    database_timeout_seconds: float = Field(
        default=10.0, gt=0, le=300, description="Deadline of a statement and of a wait for a connection"
    )
    database_tls: bool = Field(
        default=False, description="`true` outside of one machine: TLS 1.3, and the server must prove who it is"
    )
    database_ca_file: CaFile | None = Field(
        default=None, description="Whose certificates are trusted, in PEM; default: those that the system trusts"
    )

    @model_validator(mode="after")
    def _trusts_a_database_with_tls(self) -> Self:
        if self.database_ca_file is not None and not self.database_tls:
            message = "database_ca_file is of no use without TLS: database_tls is to be true"
            raise ValueError(message)
        return self

    @property
    def database(self) -> DatabaseAccess:
        """What connections of the serving role are made from."""
        return DatabaseAccess(url=self.database_url, tls=self.database_tls, ca_file=self.database_ca_file)

    @property
    def database_replica(self) -> DatabaseAccess | None:
        """What connections to the replica are made from; None where there is none."""
        if self.database_read_url is None:
            return None
        return DatabaseAccess(url=self.database_read_url, tls=self.database_tls, ca_file=self.database_ca_file)

    @property
    def database_as_owner(self) -> DatabaseAccess | None:
        """What connections of the owner are made from; None where it is not set."""
        if self.database_owner_url is None:
            return None
        return DatabaseAccess(url=self.database_owner_url, tls=self.database_tls, ca_file=self.database_ca_file)


class MasterSettings(BaseSettings):
    """The master keys, under which data keys are wrapped: bytes that we are told, or a key of a Transit engine."""

    master_keys: dict[str, Key] = Field(
        default={},
        repr=False,
        description='JSON object {"<name>": "<32 bytes in base64>"}: master keys, of which the first wraps data keys'
        " and each unwraps its own; a name is never given to another key",
    )
    master_keys_file: Path | None = Field(
        default=None, description="A file that holds the same JSON object, such as a mounted secret; read at the start"
    )
    transit_url: str | None = Field(
        default=None, description="Where a Vault is: its Transit engine then wraps, before any other master key"
    )
    transit_mount: str = Field(default="transit", description="Where the engine is mounted", pattern=r"^[\w./-]+$")
    transit_key: str = Field(
        default="production-tool", description="The name of the engine's key, of an AEAD type", pattern=r"^[\w.-]+$"
    )
    transit_namespace: str | None = Field(default=None, description="The namespace in the Vault, where it has any")
    transit_ca_file: CaFile | None = Field(
        default=None, description="Whose certificates are trusted, in PEM; default: those that the system trusts"
    )
    transit_token: str | None = Field(
        default=None, repr=False, description="A token that may `update` encrypt and decrypt of that key"
    )
    transit_token_file: Path | None = Field(
        default=None, description="A file that holds such a token; read anew each time, so that an agent may renew it"
    )
    master: str | None = Field(
        default=None,
        description="Which master key wraps, by its name (`<mount>/<key>` of a Transit key); default: the first",
    )

    @model_validator(mode="after")
    def _masters_make_sense(self) -> Self:
        if self.transit_url is not None and (self.transit_token is None) == (self.transit_token_file is None):
            message = "transit_url needs one of transit_token and transit_token_file"
            raise ValueError(message)
        return self

    @property
    def has_masters(self) -> bool:
        """Whether any master key is stated."""
        return bool(self.master_keys or self.master_keys_file or self.transit_url)

    def masters(self) -> Masters:
        """Make the master keys, the one that wraps first.

        Raises:
            ValueError: there is none, two share a name, the one that is to wrap is not there, or the file is not right.
        """
        made: list[KeyWrapper] = []
        if self.transit_url is not None:
            made.append(
                TransitMaster(
                    self.transit_url,
                    self.transit_key,
                    token=self.transit_token,
                    token_file=self.transit_token_file,
                    mount=self.transit_mount,
                    namespace=self.transit_namespace,
                    ca_file=self.transit_ca_file,
                )
            )
        stated = dict(self.master_keys)
        if self.master_keys_file is not None:
            stated |= _MASTER_KEYS.validate_json(self.master_keys_file.read_bytes())
        made += [LocalMaster(name, key) for name, key in stated.items()]
        if self.master is not None:
            made.sort(key=lambda master: master.name != self.master)
            if not made or made[0].name != self.master:
                message = f"there is no master key named {self.master!r}"
                raise ValueError(message)
        return Masters(made)


class RedisSettings(BaseSettings):
    """Where Redis is."""

    redis_url: RedisUrl = Field(
        repr=False, description="redis:// URL with our user and password; rediss:// outside of one machine: TLS 1.3"
    )
    redis_ca_file: CaFile | None = Field(
        default=None, description="Whose certificates are trusted, in PEM; default: those that the system trusts"
    )

    @model_validator(mode="after")
    def _trusts_a_redis_with_tls(self) -> Self:
        if self.redis_ca_file is not None and not self.redis_url.startswith("rediss://"):
            message = "redis_ca_file is of no use without TLS: redis_url is to begin with rediss://"
            raise ValueError(message)
        return self

    @property
    def redis(self) -> RedisAccess:
        """What our clients of Redis are made from."""
        return RedisAccess(url=self.redis_url, ca_file=self.redis_ca_file)


class ProductSettings(BaseSettings):
    """Where PostHog is, and what features are where it does not say so."""

    posthog_key: str | None = Field(
        default=None, repr=False, description="PostHog's key of a project (`phc_...`): then it hears of what is done"
    )
    posthog_host: HttpUrl = Field(default="https://eu.i.posthog.com", description="Where PostHog takes events")
    posthog_flags_key: str | None = Field(
        default=None,
        repr=False,
        description="A key that may read definitions of flags (`phs_...`); default: each flag is as its default",
    )
    posthog_poll_seconds: float = Field(
        default=30.0, ge=1, le=3600, description="How often definitions of flags are asked for"
    )
    flags: dict[str, bool] = Field(
        default={},
        description='JSON object {"<flag>": true}: what a flag is where PostHog does not say; default: as declared',
    )

    @model_validator(mode="after")
    def _flags_belong_to_a_project(self) -> Self:
        if self.posthog_flags_key is not None and self.posthog_key is None:
            message = "posthog_flags_key is of no use without posthog_key"
            raise ValueError(message)
        return self


class OwnersSettings(BaseSettings):
    """Where the services that own the data answer reads."""

    booking_url: str = Field(
        description="Where booking serves its reads: https:// outside of one machine", min_length=1
    )
    tenancy_url: str = Field(description="Where tenancy serves its reads", min_length=1)
    owner_ca_file: CaFile | None = Field(
        default=None, description="Whose certificates are trusted, in PEM; default: those that the system trusts"
    )

    @model_validator(mode="after")
    def _trusts_owners_with_tls(self) -> Self:
        if self.owner_ca_file is not None and not all(url.startswith("https://") for url in self.owner_urls.values()):
            message = "owner_ca_file is of no use without TLS: booking_url and tenancy_url are to begin with https://"
            raise ValueError(message)
        return self

    @property
    def owner_urls(self) -> dict[str, str]:
        """The URLs by the name of the service, which is that of its stream."""
        return {"booking": self.booking_url, "tenancy": self.tenancy_url}


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
    auth_ca_file: CaFile | None = Field(
        default=None,
        description="Whose certificates are trusted where keys are published, in PEM; default: those the system trusts",
    )
