"""How a client comes to Kafka, by its settings."""

import ssl
from typing import Any

import pytest
from faststream.kafka.security import parse_security
from pydantic import ValidationError

from servicekit.access import KafkaAccess
from servicekit.settings import KafkaSettings

LOGIN = {"kafka_username": "booking", "kafka_password": "open sesame"}


def settings(**words: Any) -> KafkaSettings:  # noqa: ANN401 - settings are of many types
    return KafkaSettings(kafka_bootstrap="kafka:9092", **words)


def test_a_kafka_that_asks_nobody_gets_no_name() -> None:
    assert settings().kafka == KafkaAccess.of("kafka:9092")
    assert KafkaAccess.of("kafka:9092").options() == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }
    assert KafkaAccess.of("kafka:9092").security() is None


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("missing", LOGIN)
def test_whoever_must_log_in_needs_a_name_and_a_password(protocol: str, missing: str) -> None:
    login = {name: value for name, value in LOGIN.items() if name != missing}
    with pytest.raises(ValidationError, match="needs kafka_username and kafka_password"):
        settings(kafka_security_protocol=protocol, **login)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL", "SSL"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_consumers_come_as_producers_do(protocol: str, mechanism: str) -> None:
    access = settings(kafka_security_protocol=protocol, kafka_sasl_mechanism=mechanism, **LOGIN).kafka
    options, security = access.options(), parse_security(access.security())
    assert {**options, "ssl_context": None} == {"bootstrap_servers": "kafka:9092", **security, "ssl_context": None}
    assert (options.get("ssl_context") is None) == (security["ssl_context"] is None) == (protocol == "SASL_PLAINTEXT")


def test_tls_is_1_3_and_the_other_side_is_verified() -> None:
    context = settings(kafka_security_protocol="SSL").kafka.options()["ssl_context"]
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_no_password_is_shown() -> None:
    made = settings(kafka_security_protocol="SASL_SSL", **LOGIN)
    assert "open sesame" not in repr(made) + repr(made.kafka)
