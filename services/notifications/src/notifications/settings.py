"""What the service can be told through its environment."""

from pydantic import Field

from servicekit.settings import (
    AuthSettings,
    DeadLetterSettings,
    KafkaSettings,
    OwnersSettings,
    Port,
    RedisSettings,
    ServiceSettings,
    settings_config,
)


class Settings(ServiceSettings, KafkaSettings, DeadLetterSettings, RedisSettings, OwnersSettings, AuthSettings):
    """Settings of notifications; variables begin with ``NOTIFICATIONS_``."""

    model_config = settings_config("NOTIFICATIONS_")

    http_port: Port = Field(default=8001, description="Port to listen on; 0 takes a free one")
    cors_origins: list[str] = Field(
        default=[], description='JSON list of the origins whose pages may connect; `["*"]`: any; empty: its own only'
    )
    max_sockets: int = Field(default=10_000, ge=1, description="Sockets that this instance takes")
    max_sockets_tenant: int = Field(default=5_000, ge=1, description="Of those, sockets of one tenant")
    max_sockets_user: int = Field(default=100, ge=1, description="Of those, sockets of one user")
    max_packets: int = Field(
        default=200, ge=20, description="Packets that a client may send at once; one that sends more is closed"
    )
    packets_per_second: float = Field(
        default=10.0, gt=0, description="How fast that allowance comes back; what clients need is a packet in 25 s"
    )
    max_message_bytes: int = Field(
        default=64 * 1024, ge=16 * 1024, description="Largest message that a client may send"
    )
    max_pending: int = Field(
        default=2_000, ge=1_000, description="Packets that may wait for a socket; one that is slower is closed"
    )
    drain_seconds: float = Field(
        default=30.0, gt=0, description="How long a socket that catches up may take to read a page of 500 events"
    )
    resume_limit: int = Field(
        default=10_000, ge=0, description="How many events behind the head a client may resume; further is a resync"
    )
    recent_events: int = Field(default=1_000, ge=1, description="About so many events of each stream are kept in Redis")
    recent_seconds: int = Field(
        default=24 * 60 * 60, ge=1, description="How long a stream's events are kept in Redis after the last one"
    )
    head_check_seconds: float = Field(
        default=5.0, gt=0, description="How often Redis is asked for what the channels may have lost"
    )
    owner_check_seconds: float = Field(
        default=30.0, gt=0, description="How often the owner is asked while Redis can't say how far a stream is"
    )
    history_readers: int = Field(
        default=64, ge=1, description="Reads of history that may be under way at once, over all sockets"
    )
