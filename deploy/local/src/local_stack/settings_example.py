"""``.env.example``: every setting of every service, with its description and its default, made from the code.

``python -m local_stack.settings_example`` writes it; a test holds that it is current.
"""

import json
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from booking.settings import Settings as BookingSettings
from gateway.settings import Settings as GatewaySettings
from local_stack import checkout
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import provisioning_environment, service_environment
from local_stack.port import HOST, Ports
from notifications.settings import Settings as NotificationsSettings
from servicekit.settings import ProvisioningSettings, RedisUsersSettings
from tenancy.settings import Settings as TenancySettings

FILE: Final = checkout.ROOT / ".env.example"
SETTINGS: Final[dict[str, type[BaseSettings]]] = {
    "gateway": GatewaySettings,
    "booking": BookingSettings,
    "tenancy": TenancySettings,
    "notifications": NotificationsSettings,
    "provisioning": ProvisioningSettings,
    "redis_users": RedisUsersSettings,
}
_SECRET: Final = "change-me"  # noqa: S105 - what stands in the place of a secret
_WANTED: Final = ("database_owner_url", "master_keys", "keys_secrets")
"""Settings without which a service starts, or another way of setting would do, but which it needs to be of use."""
_HEAD: Final = """\
# Every setting of every service, read from the environment. Made by `python -m local_stack.settings_example`.
# A line without `#` must be set: its value is an example, that of the local stack. A line with `#` shows the default.
# How a client of Kafka logs in (`*_KAFKA_USERNAME` and its kin) must be set where the broker asks; the local one does.
# `make run` sets all of this by itself and reads no .env file.
"""


class _Examples(Credentials):
    """Credentials of which none is one."""

    def of_principal(self, principal: str) -> str:
        """Give the placeholder."""
        del principal
        return _SECRET

    def of_redis_user(self, user: str) -> str:
        """Give the placeholder."""
        del user
        return _SECRET


def _example() -> dict[str, dict[str, str]]:
    ports = Ports()
    secrets = {**dict.fromkeys(Credentials.__dataclass_fields__, _SECRET), "seal_key": ""}
    engines = Addresses(
        postgres_port=ports.postgres,
        redis_port=ports.redis,
        kafka_port=ports.kafka,
        credentials=_Examples(**secrets),
    )
    services = service_environment(engines, ports, f"http://{HOST}:{ports.issuer}")
    return {
        **services,
        "provisioning": provisioning_environment(engines),
        "redis_users": {"REDIS_USERS_PASSWORDS": json.dumps({"gateway": _SECRET, "notifications": _SECRET})},
    }


def default_text(field: FieldInfo) -> str:
    """Write a setting's default as it would stand in the environment; empty where there is none to write."""
    value = field.get_default()
    if value is PydanticUndefined or value is None:
        return ""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def _lines(service: str, name: str, field: FieldInfo, example: dict[str, str]) -> list[str]:
    variable = f"{service}_{name}".upper()
    described = f"# {field.description}"
    if name == "kafka_password":
        return [described, f"{variable}={_SECRET}"]
    default = default_text(field)
    logs_in = name.startswith("kafka_") and example.get(variable, default) != default
    if field.is_required() or (name in _WANTED and variable in example) or logs_in:
        return [described, f"{variable}={example[variable]}"]
    return [described, f"#{variable}={default}"]


def text() -> str:
    """Write the file."""
    lines = [_HEAD]
    example = _example()
    for service, settings in SETTINGS.items():
        lines.append(f"# --- {service} ---")
        for name, field in settings.model_fields.items():
            lines += _lines(service, name, field, example[service])
        lines.append("")
    return "\n".join(lines)


def write(file: Path = FILE) -> None:
    """Put the file in place."""
    file.write_text(text())


if __name__ == "__main__":
    write()
