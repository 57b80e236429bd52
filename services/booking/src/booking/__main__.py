"""``python -m booking``: the service, and its jobs."""

import sys

from booking.application.projection import BookingProjection
from booking.bootstrap import make_app
from booking.settings import Settings
from production_contracts.topics import TENANCY_EVENTS
from servicekit.command_line import run
from servicekit.secrets import load

if __name__ == "__main__":
    sys.exit(run("booking", load(Settings), make_app, BookingProjection(), follows=[TENANCY_EVENTS]))
