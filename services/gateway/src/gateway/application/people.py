"""Names and addresses of people at the gateway: opened for whoever may read the members of a tenant."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError

from gateway.application.ports import Vault
from production_contracts import problems
from production_contracts.members import Member, person_id
from production_contracts.sealed import Sealed, sensitive_fields
from servicekit.problems import ProblemError
from servicekit.vault import SealBrokenError

SENSITIVE: Final = sensitive_fields(Member)

_log = structlog.get_logger(__name__)


class People:
    """Opens the sensitive fields of members, given as JSON objects."""

    def __init__(self, vault: Vault, namespaces: Mapping[str, UUID]) -> None:
        """Open with ``vault``; ``namespaces`` are those of the issuers, from which people's ids follow."""
        self._vault = vault
        self._namespaces = namespaces

    def open_page(self, issuer: str, page: dict[str, Any]) -> None:
        """Open a page of members, all users of one issuer, in place.

        Raises:
            ProblemError: `unavailable`: a field can't be opened here.
        """
        namespace = self._namespaces[issuer]
        for member in page["items"]:
            person = person_id(namespace, member["id"])
            for name in SENSITIVE:
                if member.get(name) is not None:
                    member[name] = self._open(person, name, member[name])

    def _open(self, person: UUID, name: str, value: Any) -> str:  # noqa: ANN401 - what tenancy answered
        try:
            return self._vault.open(person, person, name, Sealed.model_validate(value))
        except (SealBrokenError, ValidationError) as error:
            _log.critical("a sealed field can not be opened", field=name, person_id=str(person), reason=str(error))
            detail = "There is a member with a field that can't be opened for the moment; it has been logged."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "60"}) from error
