"""What tenancy can be told through its environment, as ``TENANCY_*``."""

from pydantic import Field

from servicekit.deciding_service import DecidingSettings
from servicekit.settings import Port, settings_config


class Settings(DecidingSettings):
    """Settings of the tenancy service."""

    model_config = settings_config("TENANCY_")

    http_port: Port = Field(default=8003, description="Port to listen on; 0 takes a free one")
