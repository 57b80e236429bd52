"""What the gateway can be told through its environment (``GATEWAY_*``)."""

from typing import Annotated, Self
from uuid import UUID

from limits import parse
from pydantic import BeforeValidator, Field, model_validator
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from gateway.application.features import FLAGS
from servicekit.key_api import ServiceSecret
from servicekit.settings import (
    AuthSettings,
    KafkaSettings,
    MasterSettings,
    OwnersSettings,
    Port,
    ProductSettings,
    RedisSettings,
    ServiceSettings,
    settings_config,
)
from servicekit.vault import Key


def _check_rate(value: str) -> str:
    parse(value)
    return value


def _check_secret(value: str) -> str:
    try:
        Webhook(value)
    except (ValueError, EmptyWebhookSecretError):
        message = "a secret is base64, after the prefix whsec_"
        raise ValueError(message) from None
    return value


Secret = Annotated[str, BeforeValidator(_check_secret)]
Rate = Annotated[str, BeforeValidator(_check_rate)]


class Settings(
    ServiceSettings, KafkaSettings, RedisSettings, OwnersSettings, AuthSettings, MasterSettings, ProductSettings
):
    """The gateway's settings; the keys have no default on purpose."""

    model_config = settings_config("GATEWAY_")

    http_port: Port = Field(default=8000, description="Port to listen on; 0 takes a free one")
    owner_timeout_seconds: float = Field(default=10.0, gt=0, le=60, description="Deadline of a read passed on")
    owner_connections: int = Field(
        default=128, ge=1, description="Connections kept to each owning service at most; four times as many reads wait"
    )
    command_id_key: Key = Field(
        repr=False, description="32 bytes in base64: proves that a command id is ours, and keys request fingerprints"
    )
    keys_secret: ServiceSecret = Field(
        repr=False,
        description="The secret that lets us read and offer data keys at tenancy, one of its `TENANCY_KEYS_SECRETS`",
    )
    keys_held: int = Field(default=10_000, ge=1, description="Tenants and people whose keys are held in memory at most")
    keys_fresh_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="After so long it is looked whether a tenant's keys have changed; within twice as long it is known",
    )
    seal_keys: dict[str, Key] = Field(
        default={},
        repr=False,
        description='JSON object {"<kid>": "<32 bytes in base64>"}: keys of all tenants, from before each had its own;'
        " they open what they have sealed then, and seal nothing",
    )
    wait_seconds: float = Field(default=10.0, gt=0, le=30, description="How long a write waits for its outcome")
    wait_seconds_longest: float = Field(default=30.0, gt=0, le=45, description="Most that `Prefer: wait=N` may ask for")
    requests_in_hand: int = Field(
        default=2048, ge=1, description="Requests under `/v1` in hand at once at most; beyond it: 503 unread"
    )
    waiting_commands: int = Field(
        default=1024,
        ge=1,
        description="Of those, writes that wait for an outcome; beyond it: 503, so that reads go on while none comes",
    )
    rate_limit_user: Rate = Field(default="2000/second", description="Requests of one user, such as `2000/second`")
    rate_limit_tenant: Rate = Field(default="5000/second", description="Requests of one tenant")
    rate_limit_timeout_seconds: float = Field(
        default=0.1, gt=0, le=5, description="How long Redis may take before this replica counts by itself"
    )
    clerk_webhook_secrets: list[Secret] = Field(
        default=[],
        repr=False,
        description="JSON list of the signing secrets of Clerk's webhooks (`whsec_...`), several while one is replaced;"
        " empty: there are no webhooks",
    )
    clerk_webhook_issuer: str | None = Field(
        default=None, description="Of which issuer the webhooks are; default: the first of the accepted ones"
    )
    cors_origins: list[str] = Field(
        default=[], description='JSON list of origins that browsers may call from, or ["*"]'
    )

    @model_validator(mode="after")
    def _webhook_issuer_is_accepted(self) -> Self:
        if self.clerk_webhook_issuer not in {None, *(issuer.issuer for issuer in self.auth_issuers)}:
            message = "clerk_webhook_issuer must be one of auth_issuers"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _has_a_master_key(self) -> Self:
        if not self.has_masters:
            message = "one of master_keys, master_keys_file and transit_url must be set"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _flags_are_ours(self) -> Self:
        if unknown := self.flags.keys() - {flag.name for flag in FLAGS}:
            message = f"there is no flag {', '.join(sorted(unknown))}"
            raise ValueError(message)
        return self

    @property
    def webhook_namespace(self) -> UUID:
        """The namespace of the tenants that webhooks tell of."""
        wanted = self.clerk_webhook_issuer or self.auth_issuers[0].issuer
        return next(issuer.namespace for issuer in self.auth_issuers if issuer.issuer == wanted)
