"""Whoever comes to the local Kafka from outside of the system, as the principal of downstream teams."""

import os
from typing import Final

from local_stack import checkout, compose
from local_stack.account import fallback_for
from local_stack.credentials import Credentials
from production_contracts.principals import DOWNSTREAM
from servicekit.access import KafkaAccess

COMPOSE_PASSWORD: Final = "local"  # noqa: S105 - good for nothing but the local containers
VARIABLE: Final = "KAFKA_PASSWORD"


def downstream(bootstrap: str) -> KafkaAccess:
    """Log in with the password of ``KAFKA_PASSWORD``, else with that of this checkout's stack."""
    return KafkaAccess(
        bootstrap=bootstrap,
        protocol="SASL_PLAINTEXT",
        username=DOWNSTREAM.name,
        password=os.environ.get(VARIABLE) or _password(),
    )


def environment() -> dict[str, str]:
    """Give what the examples of clients read to log in."""
    return {"KAFKA_USERNAME": DOWNSTREAM.name, VARIABLE: _password()}


def _password() -> str:
    if not compose.is_chosen():
        for data in (checkout.DATA, fallback_for(checkout.DATA)):
            if (data / "credentials.json").exists():
                return Credentials.kept_in(data / "credentials.json").of_principal(DOWNSTREAM.name)
    return COMPOSE_PASSWORD
