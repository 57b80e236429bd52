"""What tenancy can be told through its environment, as ``TENANCY_*``."""

from uuid import UUID

from pydantic import Field

from servicekit.deciding_service import DecidingSettings
from servicekit.key_api import ServiceSecret
from servicekit.settings import MasterSettings, Port, settings_config


class Settings(DecidingSettings, MasterSettings):
    """Settings of the tenancy service; the master keys are for its jobs `keys` and `reconcile`, never for serving."""

    model_config = settings_config("TENANCY_")

    http_port: Port = Field(default=8003, description="Port to listen on; 0 takes a free one")
    clerk_api_url: str = Field(default="https://api.clerk.com", description="Clerk's Backend API: for `reconcile` only")
    clerk_secret_key: str | None = Field(
        default=None, repr=False, description="Clerk's secret key (`sk_...`): for `reconcile` only"
    )
    clerk_issuer: str | None = Field(
        default=None, description="Which issuer `reconcile` asks; default: the first of the accepted ones"
    )
    keys_secrets: list[ServiceSecret] = Field(
        default=[],
        repr=False,
        description="JSON list of the secrets with which a gateway may read and offer data keys, several while one is"
        " replaced; empty: none may, and nothing can be sealed",
    )

    @property
    def clerk_namespace(self) -> UUID:
        """The namespace of the tenants that `reconcile` compares; raises StopIteration where no issuer is named so."""
        wanted = self.clerk_issuer or self.auth_issuers[0].issuer
        return next(issuer.namespace for issuer in self.auth_issuers if issuer.issuer == wanted)
