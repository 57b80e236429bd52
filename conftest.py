"""How tests run here: nothing is measured by the clock, as machines are shared; logs are plain and quick to write."""

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Write logs plainly, whatever the test before has configured."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,  # the default draws each frame with its locals, for seconds
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )
