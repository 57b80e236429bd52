"""Settings: from the environment, and silent about secrets."""

import pytest
from pydantic import ValidationError

from servicekit.settings import AuthSettings, DatabaseSettings, ServiceSettings, settings_config


class Settings(ServiceSettings, DatabaseSettings, AuthSettings):
    model_config = settings_config("TEST_SETTINGS_")


ISSUERS = '[{"issuer": "http://i", "jwks_url": "http://i/jwks", "namespace": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}]'


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SETTINGS_HTTP_PORT", "8002")
    monkeypatch.setenv("TEST_SETTINGS_DATABASE_URL", "postgresql+asyncpg://u:hush@h/d")
    monkeypatch.setenv("TEST_SETTINGS_AUTH_ISSUERS", ISSUERS)
    settings = Settings()
    assert (settings.http_port, settings.http_host) == (8002, "127.0.0.1")
    assert settings.auth_issuers[0].issuer == "http://i"
    assert "hush" not in repr(settings)


def test_an_error_names_the_field_and_not_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SETTINGS_HTTP_PORT", "hush")
    with pytest.raises(ValidationError, match="http_port") as caught:
        Settings()
    assert "hush" not in str(caught.value)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
