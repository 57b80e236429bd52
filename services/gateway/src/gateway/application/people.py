"""Names and addresses of people at the gateway: opened for whoever may read the members of a tenant."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError

from gateway.application.ports import Keyring, Vault
from gateway.application.sealing import keys_away, kids_in
from production_contracts import problems
from production_contracts.members import Member, person_id
from production_contracts.sealed import Sealed, sensitive_fields
from servicekit.keyring import KeysAwayError
from servicekit.problems import ProblemError
from servicekit.vault import SealBrokenError

SENSITIVE: Final = sensitive_fields(Member)

_log = structlog.get_logger(__name__)


class People:
    """Opens the sensitive fields of members, given as JSON objects."""

    def __init__(self, keyring: Keyring, namespaces: Mapping[str, UUID]) -> None:
        """Open with ``keyring``; ``namespaces`` are those of the issuers, from which people's ids follow."""
        self._keyring = keyring
        self._namespaces = namespaces

    async def open_page(self, issuer: str, page: dict[str, Any]) -> None:
        """Open a page of members, all users of one issuer, in place; who was forgotten meanwhile has no name any more.

        Raises:
            ProblemError: `unavailable`: keys can't be had, or a field can't be opened here.
        """
        namespace = self._namespaces[issuer]
        people = {person_id(namespace, member["id"]): member for member in page["items"]}
        wanted = {person: kids for person, member in people.items() if (kids := set(kids_in(member)))}
        try:
            vaults = await self._keyring.opening(wanted) if wanted else {}
        except KeysAwayError as error:
            raise keys_away() from error
        for person in wanted:
            vault, member = vaults[person], people[person]
            for name in SENSITIVE:
                if member.get(name) is not None:
                    member[name] = None if vault is None else self._open(vault, person, name, member[name])

    @staticmethod
    def _open(vault: Vault, person: UUID, name: str, value: Any) -> str:  # noqa: ANN401 - what tenancy answered
        try:
            return vault.open(person, person, name, Sealed.model_validate(value))
        except (SealBrokenError, ValidationError) as error:
            _log.critical("a sealed field can not be opened", field=name, person_id=str(person), reason=str(error))
            detail = "There is a member with a field that can't be opened for the moment; it has been logged."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "60"}) from error
