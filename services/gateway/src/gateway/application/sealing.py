"""Sealing: which keys a request needs, before anything is sealed or opened with them.

What is sealed and opened, and where it stands in a record, is `seals`' and `people`'s to know. Where nothing sensitive
is stated, or nothing sealed is read, no key is asked for, and nobody needs to be there who keeps any.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from gateway.application.ports import Keyring
from gateway.application.seals import Seals, states_sensitive
from production_contracts import problems
from servicekit.keyring import KeyDestroyedError, KeysAwayError
from servicekit.problems import ProblemError


class Sealing:
    """Seals and opens the sensitive fields of bookings, each tenant's with keys of its own."""

    def __init__(self, keyring: Keyring) -> None:
        """Seal and open with the keys of ``keyring``."""
        self._keyring = keyring

    async def seal(self, tenant_id: UUID, booking_id: UUID, stated: dict[str, Any]) -> dict[str, Any]:
        """Seal what is sensitive among the stated fields of a booking; null stays null.

        Raises:
            ProblemError: `unavailable`: keys can't be had; `forbidden`: the tenant's are destroyed, as it is deleted.
        """
        if not states_sensitive(stated):
            return stated
        try:
            vault = await self._keyring.sealing(tenant_id)
        except KeysAwayError as error:
            raise keys_away() from error
        except KeyDestroyedError as error:
            raise _deleted() from error
        return Seals(vault).seal(tenant_id, booking_id, stated)

    async def open_booking(self, tenant_id: UUID, booking: dict[str, Any]) -> None:
        """Open a booking in place.

        Raises:
            ProblemError: `unavailable`: keys can't be had, or a field can't be opened; `forbidden`: as above.
        """
        await self._open(tenant_id, booking, Seals.open_booking)

    async def open_page(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of bookings in place; raises as `open_booking`."""
        await self._open(tenant_id, page, Seals.open_page)

    async def open_events(self, tenant_id: UUID, page: dict[str, Any]) -> None:
        """Open a page of events in place; raises as `open_booking`."""
        await self._open(tenant_id, page, Seals.open_events)

    async def _open(
        self, tenant_id: UUID, document: dict[str, Any], open_: Callable[[Seals, UUID, dict[str, Any]], None]
    ) -> None:
        kids = set(kids_in(document))
        if kids:
            try:
                vault = (await self._keyring.opening({tenant_id: kids}))[tenant_id]
            except KeysAwayError as error:
                raise keys_away() from error
            if vault is None:
                raise _deleted()
            open_(Seals(vault), tenant_id, document)


def kids_in(document: object) -> Iterator[str]:
    """Name the keys of all that is sealed in a document (`production_contracts.sealed.Sealed`, at any depth).

    What has a ciphertext and no key is sealed too, by a key that nobody has: it is not to pass as it is.
    """
    if isinstance(document, dict):
        if "ct" in document:
            yield str(document.get("kid"))
        else:
            for value in document.values():
                yield from kids_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from kids_in(value)


def keys_away() -> ProblemError:
    """Say that keys can't be had."""
    detail = "The keys of sealed fields can't be had for the moment; try again."
    return ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "2"})


def _deleted() -> ProblemError:
    return ProblemError(problems.FORBIDDEN, "This organisation is deleted.")
