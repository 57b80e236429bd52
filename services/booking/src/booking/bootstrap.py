"""How booking is put together: the only place that knows every class."""

from fastapi import FastAPI

from booking.adapters.roster import Roster
from booking.application.decider import BookingDecider
from booking.entrypoints.http import availability_routes, booking_routes
from booking.settings import Settings
from production_contracts.roles import Permission
from servicekit.deciding_service import DecidingService
from servicekit.ends import TopicEnds


def make_app(settings: Settings) -> FastAPI:
    """Make the application: commands in from Kafka, reads over HTTP."""
    service = DecidingService(settings, "booking", reads=Permission.BOOKINGS_READ, answers_after_publication=False)
    ends = TopicEnds(settings.kafka, f"booking-{settings.instance}-ends")
    service.parts.append(ends)
    roster = Roster(
        service.database, service.consumers, ends, service.dead_letters, partitions=settings.kafka_partitions
    )
    service.decide(BookingDecider(roster))
    return service.app(booking_routes(service.owner), availability_routes(service.owner, roster))
