"""Who did something, and when."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Who did something, when, and the position that the event of it gets."""

    actor: str
    at: datetime
    position: int

    def following(self) -> Self:
        """Stamp what happens right after, by the same hand."""
        return replace(self, position=self.position + 1)
