"""What booking can be told through its environment, as ``BOOKING_*``."""

from pydantic import Field

from servicekit.deciding_service import DecidingSettings
from servicekit.settings import Port, settings_config


class Settings(DecidingSettings):
    """Settings of the booking service."""

    model_config = settings_config("BOOKING_")

    http_port: Port = Field(default=8002, description="Port to listen on; 0 takes a free one")
