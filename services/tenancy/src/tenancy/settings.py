"""What tenancy can be told through its environment, as ``TENANCY_*``."""

from uuid import UUID

from pydantic import Field

from servicekit.deciding_service import DecidingSettings
from servicekit.settings import Port, settings_config
from servicekit.vault import Key


class Settings(DecidingSettings):
    """Settings of the tenancy service."""

    model_config = settings_config("TENANCY_")

    http_port: Port = Field(default=8003, description="Port to listen on; 0 takes a free one")
    clerk_api_url: str = Field(default="https://api.clerk.com", description="Clerk's Backend API: for `reconcile` only")
    clerk_secret_key: str | None = Field(
        default=None, repr=False, description="Clerk's secret key (`sk_...`): for `reconcile` only"
    )
    clerk_issuer: str | None = Field(
        default=None, description="Which issuer `reconcile` asks; default: the first of the accepted ones"
    )
    seal_keys: dict[str, Key] = Field(
        default={},
        repr=False,
        description="The gateway's seal keys: for `reconcile` only, without them it leaves names to the webhooks",
    )

    @property
    def clerk_namespace(self) -> UUID:
        """The namespace of the tenants that `reconcile` compares; raises StopIteration where no issuer is named so."""
        wanted = self.clerk_issuer or self.auth_issuers[0].issuer
        return next(issuer.namespace for issuer in self.auth_issuers if issuer.issuer == wanted)
