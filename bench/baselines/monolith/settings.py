"""What the monolith is told, as ``MONOLITH_*``."""

from pydantic import Field

from gateway.settings import Rate
from servicekit.settings import AuthSettings, DatabaseSettings, RedisSettings, ServiceSettings, settings_config


class Settings(ServiceSettings, DatabaseSettings, RedisSettings, AuthSettings):
    """Settings of the monolith; the same as the services', where it has the same."""

    model_config = settings_config("MONOLITH_")

    http_port: int = 0
    rate_limits: bool = Field(default=True, description="Count requests in Redis, as the gateway does")
    rate_limit_user: Rate = "2000/second"
    rate_limit_tenant: Rate = "5000/second"
