"""How booking is put together: the only place that knows every class."""

from fastapi import FastAPI

from booking.adapters.roster import Roster
from booking.application.decider import BookingDecider
from booking.entrypoints.http import booking_routes
from booking.settings import Settings
from production_contracts.roles import Permission
from servicekit.deciding_service import DecidingService


def make_app(settings: Settings) -> FastAPI:
    """Make the application: commands in from Kafka, reads over HTTP."""
    service = DecidingService(settings, "booking", reads=Permission.BOOKINGS_READ, answers_after_publication=False)
    roster = Roster(service.database, service.consumers, settings.kafka_partitions, service.dead_letters)
    service.decide(BookingDecider(roster))
    return service.app(booking_routes(service.owner, roster))
