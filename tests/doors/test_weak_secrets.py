"""A service refuses to start with a secret that is published or easy to guess, whichever it is.

Which settings are secrets is asked of the services: a new one without a row here fails.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic_settings import BaseSettings

from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import provisioning_environment, service_environment
from local_stack.port import Ports
from local_stack.settings_example import FILE, SETTINGS
from servicekit.secrets import EXIT_STATUS, MARK, SecretsSettings, load, weakness

DEADLINE_S = 120
PUBLISHED_KEY = base64.b64encode(f"{MARK}{'-' * 32}"[:32].encode()).decode()
STRONG_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
STRONG = secrets.token_urlsafe(24)
DSN = ("https://change-me@sentry.example/1", f"https://{secrets.token_hex(16)}@sentry.example/1")

ROWS: dict[str, dict[str, tuple[str, str]]] = {
    "gateway": {
        "kafka_password": ("change-me", STRONG),
        "sentry_dsn": DSN,
        "posthog_key": ("phc_change-me-change-me", f"phc_{STRONG}"),
        "posthog_flags_key": ("phs_change-me-change-me", f"phs_{STRONG}"),
        "redis_url": ("redis://gateway:local@h/0", f"redis://gateway:{STRONG}@h/0"),
        "command_id_key": (PUBLISHED_KEY, STRONG_KEY),
        "seal_keys": (json.dumps({"a": STRONG_KEY, "b": PUBLISHED_KEY}), json.dumps({"a": STRONG_KEY})),
        "master_keys": (json.dumps({"m": PUBLISHED_KEY}), json.dumps({"m": STRONG_KEY})),
        "transit_token": ("hvs.change-me", f"hvs.{STRONG}"),
        "keys_secret": (f"{MARK}-secret-of-the-gateway", STRONG),
        "clerk_webhook_secrets": (
            json.dumps([f"whsec_{STRONG_KEY}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
            json.dumps([f"whsec_{STRONG_KEY}"]),
        ),
    },
    "booking": {
        "kafka_password": ("local", STRONG),
        "sentry_dsn": DSN,
        "database_url": ("postgresql+asyncpg://u:postgres@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
        "database_owner_url": ("postgresql+asyncpg://u@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
        "database_read_url": ("postgresql+asyncpg://u:local@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
    },
    "tenancy": {
        "kafka_password": ("x" * 40, STRONG),
        "sentry_dsn": DSN,
        "database_url": ("postgresql+asyncpg://u:local@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
        "database_owner_url": ("postgresql+asyncpg://u:change-me@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
        "database_read_url": ("postgresql+asyncpg://u@h/d", f"postgresql+asyncpg://u:{STRONG}@h/d"),
        "clerk_secret_key": ("sk_test_change-me", f"sk_test_{STRONG}"),
        "master_keys": (json.dumps({"m": STRONG_KEY, "n": PUBLISHED_KEY}), json.dumps({"m": STRONG_KEY})),
        "transit_token": ("x" * 24, f"hvs.{STRONG}"),
        "keys_secrets": (json.dumps([STRONG, "change-me-" * 4]), json.dumps([STRONG])),
    },
    "notifications": {
        "kafka_password": ("0123456789abcdef", STRONG),
        "sentry_dsn": DSN,
        "redis_url": ("redis://h/0", f"redis://notifications:{STRONG}@h/0"),
    },
    "provisioning": {
        "kafka_password": ("change-me", STRONG),
        "passwords": (json.dumps({"gateway": "local"}), json.dumps({"gateway": STRONG})),
    },
    "redis_users": {"passwords": (json.dumps({"gateway": "local"}), json.dumps({"gateway": STRONG}))},
}
"""By service and secret: a weak one, and one that will do."""

Load = Callable[..., BaseSettings]
CASES = [(service, name) for service, rows in ROWS.items() for name in rows]


def strong(service: str) -> dict[str, str]:
    """Give an environment in which every secret will do."""
    at = Addresses(postgres_port=1, redis_port=1, kafka_port=1, credentials=Credentials())
    known = service_environment(at, Ports(), "http://127.0.0.1:1")
    known |= {"provisioning": provisioning_environment(at), "redis_users": {}}
    prefix = service.upper()
    return known[service] | {f"{prefix}_{name.upper()}": will_do for name, (_, will_do) in ROWS[service].items()}


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Load:
    """`settings_of(service, **changes)` loads its settings as the service does at its start."""

    def load_with(service: str, **changes: str) -> BaseSettings:
        for name in list(os.environ):
            if name.startswith(f"{service.upper()}_"):
                monkeypatch.delenv(name)
        changed = {f"{service.upper()}_{name.upper()}": value for name, value in changes.items()}
        for name, value in (strong(service) | changed).items():
            monkeypatch.setenv(name, value)
        settings = SETTINGS[service]
        assert issubclass(settings, SecretsSettings)
        return load(settings)

    return load_with


@pytest.mark.parametrize("service", SETTINGS)
def test_every_secret_has_a_row(service: str) -> None:
    found = {name for name, field in SETTINGS[service].model_fields.items() if not field.repr}
    assert found == ROWS[service].keys(), "give the new secret a row, with a weak one and one that will do"


@pytest.mark.parametrize("service", SETTINGS)
def test_what_sounds_like_a_secret_is_marked_as_one(service: str) -> None:
    sounds = re.compile(r"password|secret|_keys?$|token$|database_url|owner_url$|redis_url")
    exempt = {"weak_secrets", "database_owner_url", "database_read_url", "transit_key"}  # which is a name
    found = {name for name in SETTINGS[service].model_fields if sounds.search(name)} - exempt
    assert found <= ROWS[service].keys()


@pytest.mark.parametrize(("service", "name"), CASES)
def test_a_weak_one_is_refused_by_name_and_not_shown(
    service: str,
    name: str,
    settings_of: Load,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weak, will_do = ROWS[service][name]
    settings_of(service)
    with pytest.raises(SystemExit) as refused:
        settings_of(service, **{name: weak})
    told = capsys.readouterr()
    assert refused.value.code == EXIT_STATUS
    assert f"{service.upper()}_{name.upper()}: " in told.err
    assert weak not in told.err + told.out
    assert will_do not in told.err + told.out


@pytest.mark.parametrize(("service", "name"), CASES)
def test_on_a_developers_machine_it_will_do_and_is_named(
    service: str,
    name: str,
    settings_of: Load,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings_of(service, **{name: ROWS[service][name][0], "weak_secrets": "accepted"})
    assert name.upper() in capsys.readouterr().err


PROGRAMS = {service: [service] for service in ("gateway", "booking", "tenancy", "notifications")}
PROGRAMS |= {"provisioning": ["servicekit", "provision"], "redis_users": ["servicekit", "redis-users"]}


@pytest.mark.parametrize("service", SETTINGS)
def test_the_program_ends_with_a_clear_message_and_no_traceback(service: str) -> None:
    name, (weak, _) = next(iter(ROWS[service].items()))
    environment = os.environ | strong(service) | {f"{service.upper()}_{name.upper()}": weak}
    ended = subprocess.run(
        [sys.executable, "-m", *PROGRAMS[service]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (EXIT_STATUS, "")
    first, *lines = ended.stderr.splitlines()
    assert first == "not started: these settings must be mended"
    assert [line.partition(":")[0] for line in lines] == [f"{service.upper()}_{name.upper()}"]


def test_what_the_repository_publishes_is_weak() -> None:
    """Every default of Compose that is a secret, and every example: none gets past `weakness`."""
    composed = (ROOT / "docker-compose.yml").read_text()
    stated = re.findall(r"\$\{[A-Z_]*(?:PASSWORD|KEY|KEYS|SECRET|SECRETS):-((?:[^{}]|\{[^}]*\})*)\}", composed)
    assert len(stated) > 10
    example = re.findall(r"^#?[A-Z_]*(?:PASSWORDS?|KEYS?|SECRETS?)=(.+)$", FILE.read_text(), re.MULTILINE)
    example += re.findall(r"://[^:/]+:([^@]+)@", FILE.read_text())
    for text in {*stated, *example} - {"refused", "{}", "[]"}:
        parsed = json.loads(text) if text[0] in "{[" else text
        values = list(parsed.values()) if isinstance(parsed, dict) else parsed if isinstance(parsed, list) else [parsed]
        for secret in values:
            assert weakness(str(secret)), f"{text}: a secret in this repository must hold {MARK!r}, or be short"


def test_every_service_in_compose_says_that_it_is_a_developers_machine_in_one_place() -> None:
    composed = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"^ +([A-Z]+)_WEAK_SECRETS: \$\{WEAK_SECRETS:-accepted\}$", composed, re.MULTILINE) == [
        "BOOKING",
        "TENANCY",
        "NOTIFICATIONS",
        "PROVISIONING",
        "GATEWAY",
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "change-me",
        "please-change-me-now-please",
        "a" * 64,
        "abababababababababab",
        "0123456789012345678901234567890",
        "abcdefghijklmnopqrstuvwxyz",
        bytes(32),
        b"\x01" * 32,
        bytes(range(32)),
        b"0123456789abcdef" * 2,
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        base64.b64encode(b"local-stack-only---seal-key-----").decode(),
        b"local-stack-only---seal-key-----",
    ],
)
def test_this_is_weak(secret: str | bytes) -> None:
    assert weakness(secret)


def test_random_ones_will_do() -> None:
    made = [secrets.token_urlsafe(18) for _ in range(2_000)] + [secrets.token_hex(32) for _ in range(2_000)]
    assert [secret for secret in made if weakness(secret)] == []
    assert [key for key in (secrets.token_bytes(32) for _ in range(2_000)) if weakness(key)] == []
    local = Credentials()
    for secret in (local.postgres, local.command_id_key, local.webhook_secret, local.of_principal("gateway")):
        assert weakness(secret) is None
