"""Sensitive fields at the gateway: sealed on the way in, opened for an entitled reader on the way out."""

from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError

from gateway.application.ports import Vault
from production_contracts import problems
from production_contracts.bookings import Booking
from production_contracts.sealed import Sealed, sensitive_fields
from servicekit.problems import ProblemError
from servicekit.vault import SealBrokenError

SENSITIVE: Final = sensitive_fields(Booking)

_log = structlog.get_logger(__name__)


class Notes:
    """Seals and opens the sensitive fields of bookings, given as JSON objects."""

    def __init__(self, vault: Vault) -> None:
        """Seal and open with ``vault``."""
        self._vault = vault

    def seal(self, tenant_id: UUID, booking_id: UUID, stated: dict[str, Any]) -> dict[str, Any]:
        """Seal what is sensitive among the stated fields of a booking; null stays null."""
        return {
            name: self._vault.seal(tenant_id, booking_id, name, value)
            if name in SENSITIVE and isinstance(value, str)
            else value
            for name, value in stated.items()
        }

    def open_booking(self, tenant_id: UUID, booking: dict[str, Any]) -> None:
        """Open a booking in place.

        Raises:
            ProblemError: `unavailable`: a field can't be opened here.
        """
        for name in SENSITIVE:
            value = booking.get(name)
            if value is not None:
                booking[name] = self._open(tenant_id, booking, name, value)

    def open_page(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of bookings in place; raises as `open_booking`."""
        for booking in page["items"]:
            self.open_booking(tenant_id, booking)

    def open_events(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of events in place; raises as `open_booking`."""
        for event in page["items"]:
            self.open_booking(tenant_id, event["data"])

    def _open(self, tenant_id: UUID, booking: dict[str, Any], name: str, value: Any) -> str:  # noqa: ANN401
        try:
            return self._vault.open(tenant_id, UUID(booking["id"]), name, Sealed.model_validate(value))
        except (SealBrokenError, ValidationError, KeyError, ValueError) as error:
            _log.critical(
                "a sealed field can not be opened", field=name, booking_id=booking.get("id"), reason=str(error)
            )
            detail = "This booking has a field that can't be opened for the moment; it has been logged."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "60"}) from error
