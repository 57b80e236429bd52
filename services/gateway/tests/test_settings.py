"""Settings: the keys are required and checked, and never shown."""

import base64

import pytest
from pydantic import ValidationError

from gateway.settings import Settings
from gateway.testing import stated_settings

KEY = base64.b64encode(bytes(range(32))).decode()


def test_keys_are_read_from_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP": "k:1",
        "REDIS_URL": "redis://:hush@r:1",
        "BOOKING_URL": "http://b",
        "TENANCY_URL": "http://t",
        "AUTH_ISSUERS": '[{"issuer": "i", "jwks_url": "j", "namespace": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}]',
        "COMMAND_ID_KEY": KEY,
        "MASTER_KEYS": f'{{"new": "{KEY}", "old": "{KEY}"}}',
        "KEYS_SECRET": "s" * 32,
        "CORS_ORIGINS": '["https://app.example"]',
    }.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    settings = Settings()
    assert settings.command_id_key == bytes(range(32))
    assert list(settings.master_keys) == ["new", "old"]
    assert settings.masters().first == "new"
    assert settings.seal_keys == {}
    assert (settings.http_port, settings.wait_seconds) == (8000, 10.0)
    shown = repr(settings)
    assert KEY not in shown
    assert "hush" not in shown
    assert "x01" not in shown


@pytest.mark.parametrize("name", ["command_id_key", "keys_secret"])
def test_there_are_no_keys_by_default(name: str) -> None:
    assert Settings.model_fields[name].is_required()


@pytest.mark.parametrize("key", ["", "x", "!" * 44, base64.b64encode(bytes(31)).decode(), KEY + "="])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="command_id_key"):
        stated_settings(command_id_key=key)


@pytest.mark.parametrize(
    "change",
    [
        {"rate_limit_user": "many"},
        {"master_keys": {}},
        {"keys_secret": "s" * 31},
        {"wait_seconds": 0},
        {"transit_url": "http://vault"},
        {"transit_url": "http://vault", "transit_token": "t", "transit_token_file": "/t"},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        stated_settings(**change)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
