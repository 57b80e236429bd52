"""The example of the environment says what the code says."""

import os

import pytest

from local_stack.settings_example import FILE, SETTINGS, text


def test_the_example_of_the_environment_is_current() -> None:
    assert FILE.read_text() == text(), "run: python -m local_stack.settings_example"


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_says_what_it_is_for(service: str) -> None:
    assert [name for name, field in SETTINGS[service].model_fields.items() if not field.description] == []


def test_the_examples_that_must_be_set_are_enough_for_every_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("GATEWAY_", "BOOKING_", "TENANCY_", "NOTIFICATIONS_")):
            monkeypatch.delenv(name)
    keys = ("GATEWAY_", "TENANCY_KEYS_")
    for line in text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
            monkeypatch.setenv(name, value.replace("change-me", key) if name.startswith(keys) else value)
    for settings in SETTINGS.values():
        assert settings().model_config["env_prefix"]  # it is complete, or this line raises
