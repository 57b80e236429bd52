"""Sensitive fields at the gateway: sealed on the way in, opened for an entitled reader on the way out.

Each leaf is sealed by itself, bound to its path (``contact.email``), so that behind the gateway a patch of one merges
without any being opened. A number is sealed as its decimal digits, filled up with zeros to the length of the largest:
a ciphertext is as long as its text, and a fee should not show how many digits it has.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError

from gateway.application.ports import Vault
from production_contracts import problems
from production_contracts.bookings import Booking
from production_contracts.money import LARGEST_AMOUNT
from production_contracts.sealed import Sealed, sensitive_fields
from servicekit.problems import ProblemError
from servicekit.vault import SealBrokenError

SENSITIVE: Final = sensitive_fields(Booking)
DIGITS: Final = len(str(LARGEST_AMOUNT))

_PATHS: Final = tuple((path, tuple(path.split("."))) for path in SENSITIVE)

_log = structlog.get_logger(__name__)


class Seals:
    """Seals and opens the sensitive fields of bookings, given as JSON objects."""

    def __init__(self, vault: Vault) -> None:
        """Seal and open with ``vault``."""
        self._vault = vault

    def seal(self, tenant_id: UUID, booking_id: UUID, stated: dict[str, Any]) -> dict[str, Any]:
        """Seal in place what is sensitive among the stated fields of a booking; null stays null."""
        for path, holder, name in _leaves(stated):
            holder[name] = self._vault.seal(tenant_id, booking_id, path, _text(holder[name]))
        return stated

    def open_booking(self, tenant_id: UUID, booking: dict[str, Any]) -> None:
        """Open a booking in place.

        Raises:
            ProblemError: `unavailable`: a field can't be opened here.
        """
        for path, holder, name in _leaves(booking):
            holder[name] = self._open(tenant_id, booking, path, holder[name])

    def open_page(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of bookings in place; raises as `open_booking`."""
        for booking in page["items"]:
            self.open_booking(tenant_id, booking)

    def open_events(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of events in place; raises as `open_booking`."""
        for event in page["items"]:
            self.open_booking(tenant_id, event["data"])

    def _open(self, tenant_id: UUID, booking: dict[str, Any], path: str, value: Any) -> str | int:  # noqa: ANN401
        try:
            text = self._vault.open(tenant_id, UUID(booking["id"]), path, Sealed.model_validate(value))
            return int(text) if SENSITIVE[path] is int else text
        except (SealBrokenError, ValidationError, KeyError, ValueError) as error:
            _log.critical(
                "a sealed field can not be opened", field=path, booking_id=booking.get("id"), reason=str(error)
            )
            detail = "This booking has a field that can't be opened for the moment; it has been logged."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "60"}) from error


def states_sensitive(stated: dict[str, Any]) -> bool:
    """Tell whether anything sensitive is among the stated fields of a booking, or is sealed in it."""
    return any(True for _ in _leaves(stated))


def _leaves(booking: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Find what a booking holds that is sensitive: its path, the object that it is in, and its name there."""
    for path, (*outer, name) in _PATHS:
        holder = booking
        for step in outer:
            holder = holder.get(step) or {}
        if holder.get(name) is not None:
            yield path, holder, name


def _text(value: str | int) -> str:
    return value if isinstance(value, str) else f"{value:0{DIGITS}d}"
