"""Where an engine is, and as whom we come: one value each, from which every client of it is made."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram512

from servicekit.tls import client_context

Protocol = Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"]
Mechanism = Literal["SCRAM-SHA-512", "PLAIN"]


@dataclass(frozen=True, kw_only=True)
class KafkaAccess:
    """Bootstrap servers, and what they ask of a client; TLS is 1.3, with the CA of ``ca_file`` or the system's."""

    bootstrap: str
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @classmethod
    def of(cls, kafka: "Self | str") -> Self:
        """Take bare bootstrap servers for a Kafka that asks nobody who they are."""
        return cls(bootstrap=kafka) if isinstance(kafka, str) else kafka

    def options(self) -> dict[str, Any]:
        """Give the options that a client of aiokafka takes."""
        found: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.protocol}
        if self._encrypted:
            found["ssl_context"] = self._tls()
        if self._authenticated:
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = self.username
            found["sasl_plain_password"] = self.password
        return found

    def security(self) -> BaseSecurity | None:
        """Give what a broker of FastStream takes."""
        tls = self._tls() if self._encrypted else None
        if self._authenticated:
            kind = SASLScram512 if self.mechanism == "SCRAM-SHA-512" else SASLPlaintext
            return kind(self.username or "", self.password or "", ssl_context=tls)
        return BaseSecurity(ssl_context=tls) if tls else None

    @property
    def _encrypted(self) -> bool:
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def _authenticated(self) -> bool:
        return self.protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    def _tls(self) -> ssl.SSLContext:
        return client_context(self.ca_file)


@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """A database's URL, with a role and its password in it; TLS is 1.3, with the CA of ``ca_file`` or the system's."""

    url: str = field(repr=False)
    tls: bool = False
    ca_file: Path | None = None

    @classmethod
    def of(cls, database: "Self | str") -> Self:
        """Take a bare URL for a database that is reached without TLS."""
        return cls(url=database) if isinstance(database, str) else database

    def arguments(self) -> dict[str, Any]:
        """Give what asyncpg takes besides the URL, as SQLAlchemy's ``connect_args``."""
        return {"ssl": client_context(self.ca_file)} if self.tls else {}


@dataclass(frozen=True, kw_only=True)
class RedisAccess:
    """The URL of Redis, with the user and its password in it; ``rediss://`` is TLS 1.3, with the CA of ``ca_file``."""

    url: str = field(repr=False)
    ca_file: Path | None = None

    @classmethod
    def of(cls, redis: "Self | str") -> Self:
        """Take a bare URL."""
        return cls(url=redis) if isinstance(redis, str) else redis

    def tls(self) -> ssl.SSLContext | None:
        """Make the context of its connections; None where they are in the clear."""
        return client_context(self.ca_file) if self.url.startswith("rediss://") else None
