"""The settings of each service in the local stack; the only place that knows them."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from local_stack.certificates import CertificateFiles
from local_stack.engines import Addresses
from local_stack.port import HOST, Ports
from production_contracts.principals import PRINCIPALS, PROVISIONING
from servicekit.access import KafkaAccess

SERVICES = ("tenancy", "booking", "gateway", "notifications")
"""In the order they are started; stopped the other way round."""

WITH_DATABASE = ("booking", "tenancy")
"""The services that own a database of their own name, unless told otherwise."""

MASTER = "local-1"
"""The name of the master key."""

NAMESPACE = "6f1c2f0e-6a0f-5d0a-9a43-0c9d2a1f4b7e"
"""The namespace of tenant ids under the local issuer; a real issuer has another, so no id can ever be both."""

FRONTEND = "http://localhost:3000"
"""Where a frontend is developed; its pages may call the gateway and connect to notifications."""

OWN_DATABASES: Mapping[str, str] = MappingProxyType({service: service for service in WITH_DATABASE})


def service_environment(
    engines: Addresses,
    ports: Ports,
    issuer_url: str,
    *,
    databases: Mapping[str, str] = OWN_DATABASES,
    certificate: CertificateFiles | None = None,
) -> dict[str, dict[str, str]]:
    """Give, per service, the environment variables that one instance on the stack's port needs.

    With a certificate the services serve by HTTPS, and the issuer, whose URL says so, is of the same CA.
    """
    issuers = json.dumps([{"issuer": issuer_url, "jwks_url": jwks_url(issuer_url), "namespace": NAMESPACE}])
    scheme = "http" if certificate is None else "https"
    booking_url = f"{scheme}://{HOST}:{ports.booking}"
    tenancy_url = f"{scheme}://{HOST}:{ports.tenancy}"
    own: dict[str, dict[str, str]] = {
        "gateway": {
            "REDIS_URL": engines.redis_url_as("gateway"),
            "BOOKING_URL": booking_url,
            "TENANCY_URL": tenancy_url,
            "COMMAND_ID_KEY": engines.credentials.command_id_key,
            "MASTER_KEYS": json.dumps({MASTER: engines.credentials.master_key}),
            "KEYS_SECRET": engines.credentials.keys_secret,
            **({"SEAL_KEYS": json.dumps({"local": seal_key})} if (seal_key := engines.credentials.seal_key) else {}),
            "CLERK_WEBHOOK_SECRETS": json.dumps([engines.credentials.webhook_secret]),
            "CORS_ORIGINS": json.dumps([FRONTEND]),
        },
        "notifications": {
            "REDIS_URL": engines.redis_url_as("notifications"),
            "BOOKING_URL": booking_url,
            "TENANCY_URL": tenancy_url,
            "CORS_ORIGINS": json.dumps([FRONTEND]),
        },
    }
    for service in WITH_DATABASE:
        own[service] = {
            "DATABASE_URL": engines.postgres_url(databases[service], f"{service}_service"),
            "DATABASE_OWNER_URL": engines.postgres_url(databases[service], f"{service}_owner"),
        }
    own["tenancy"]["KEYS_SECRETS"] = json.dumps([engines.credentials.keys_secret])
    return {
        service: {
            f"{service.upper()}_{name}": setting
            for name, setting in {
                "HTTP_PORT": str(getattr(ports, service)),
                "INSTANCE": f"{service}-1",
                **kafka_environment(engines.kafka_access(service)),
                "AUTH_ISSUERS": issuers,
                **own[service],
                **_tls_environment(service, engines.ca_file, certificate),
            }.items()
        }
        for service in SERVICES
    }


def _tls_environment(service: str, engines_ca: Path | None, certificate: CertificateFiles | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if engines_ca is not None and service in WITH_DATABASE:
        found |= {"DATABASE_TLS": "true", "DATABASE_CA_FILE": str(engines_ca)}
    elif engines_ca is not None:
        found |= {"REDIS_CA_FILE": str(engines_ca)}
    if certificate is not None:
        found |= {"HTTP_CERT_FILE": str(certificate.certificate), "HTTP_KEY_FILE": str(certificate.key)}
        found |= {"AUTH_CA_FILE": str(certificate.ca)}
        if service not in WITH_DATABASE:
            found |= {"OWNER_CA_FILE": str(certificate.ca)}
    return found


def dead_letter_environment(engines: Addresses, environment: Mapping[str, str], service: str) -> dict[str, str]:
    """Give the environment of a service's dead-letter tool: the service's own, with a principal of the tool's."""
    access = kafka_environment(engines.kafka_access(f"{service}-deadletters"))
    return {**environment, **{f"{service.upper()}_{name}": setting for name, setting in access.items()}}


def keys_environment(engines: Addresses, environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of tenancy's jobs that hold the master key: the service's own, and the key."""
    return {**environment, "TENANCY_MASTER_KEYS": json.dumps({MASTER: engines.credentials.master_key})}


def provisioning_environment(engines: Addresses) -> dict[str, str]:
    """Give the environment of the job that provisions Kafka."""
    passwords = {principal.name: engines.credentials.of_principal(principal.name) for principal in PRINCIPALS}
    settings = kafka_environment(engines.kafka_access(PROVISIONING)) | {"PASSWORDS": json.dumps(passwords)}
    return {f"PROVISIONING_{name}": setting for name, setting in settings.items()}


def kafka_environment(access: KafkaAccess) -> dict[str, str]:
    """Give the settings, without a prefix, that make a client come so; the mechanism where it is not the default."""
    return {
        "KAFKA_BOOTSTRAP": access.bootstrap,
        "KAFKA_SECURITY_PROTOCOL": access.protocol,
        **({} if access.mechanism == "SCRAM-SHA-512" else {"KAFKA_SASL_MECHANISM": access.mechanism}),
        "KAFKA_USERNAME": access.username or "",
        "KAFKA_PASSWORD": access.password or "",
        **({} if access.ca_file is None else {"KAFKA_CA_FILE": str(access.ca_file)}),
    }


def jwks_url(issuer_url: str) -> str:
    """Tell where an issuer publishes its keys."""
    return f"{issuer_url}/.well-known/jwks.json"
