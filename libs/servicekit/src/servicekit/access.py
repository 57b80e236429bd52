"""Where Kafka is, and as whom we come: one value from which every client of Kafka is made."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram512

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
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context
