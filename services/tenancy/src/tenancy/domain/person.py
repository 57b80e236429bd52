"""A person's name and address, sealed: each the newest that was told, and nothing once the person is forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from tenancy.domain.facts import Rank, rank

SealedText = Mapping[str, str]
"""A sealed value, ``{kid, ct}``, which nobody here opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told of one field, at the provider's time (None: nothing was)."""

    sealed: SealedText | None = None
    as_of: datetime | None = None

    @property
    def rank(self) -> Rank:
        """Place this fact among those about the field."""
        sealed = self.sealed
        return rank(self.as_of, *((None, None) if sealed is None else (sealed["kid"], sealed["ct"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person; ``id`` follows from the user's. A forgotten one leaves a tombstone without name or address."""

    id: UUID
    name: Told = field(default_factory=Told)
    email: Told = field(default_factory=Told)
    forgotten: bool = False

    def record(self, stated: Mapping[str, SealedText | None], *, as_of: datetime) -> Self | None:
        """Take note of the fields stated (``name``, ``email``); None where newer ones are known, or forgotten."""
        if self.forgotten:
            return None
        told = {name: Told(sealed=sealed, as_of=as_of) for name, sealed in stated.items()}
        changes: dict[str, Any] = {name: fact for name, fact in told.items() if fact.rank > getattr(self, name).rank}
        return replace(self, **changes) if changes else None

    def forget(self) -> Self | None:
        """Forget name and address, for good; None where that has happened."""
        return None if self.forgotten else type(self)(id=self.id, forgotten=True)
