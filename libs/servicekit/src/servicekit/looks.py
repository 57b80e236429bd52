"""A look: rows of one tenant and how its stream stands, in one statement and so from one snapshot, in one round trip.

A transaction for the same takes five: BEGIN, what opens it to the tenant, the stream, the rows, COMMIT. A look opens
itself: ``set_config`` stands first in a chain of outer joins without a condition, which PostgreSQL can carry out in
that order only, and is volatile, so that it is neither moved nor left out. Were it ever carried out later, the policies
would let nothing through, as the setting is that of no tenant before and after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect

_LOOK: Final = """
    select stream.position as stands_at, stream.deleted as stands_deleted, found.*
    from (select set_config('app.tenant_ids', cast(:opened as text), true) as opened) as first
    left join streams as stream on stream.tenant_id = :tenant
    left join lateral (select true as is_found, q.* from ({query}) as q offset 0) as found on true
"""
_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]


class Row(asyncpg.Record):  # type: ignore[misc] # it ships no types
    """A row of a look: columns by ``row["name"]``, and by ``row.name`` as SQLAlchemy's rows have them."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the column holds
        """Give a column."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Look:
    """What is asked, compiled once: a query that names its values as ``:name``, and its tenant as ``:tenant``."""

    def __init__(self, query: str) -> None:
        """Ask ``query``; its rows come in its own order."""
        compiled = text(_LOOK.format(query=query)).compile(dialect=_DIALECT)
        self.statement: Final = str(compiled)
        self._names: Final = tuple(compiled.positiontup or ())

    def arguments(self, tenant_id: UUID, values: Mapping[str, Any]) -> list[Any]:
        """Give the values in the order in which the statement numbers them."""
        given = {**values, "tenant": tenant_id, "opened": f"{{{tenant_id}}}"}
        return [given[name] for name in self._names]


@lru_cache(maxsize=256)
def look(query: str) -> Look:
    """Give the look that asks a query which was put together, compiled once for each that there is."""
    return Look(query)


HEAD: Final = Look("select 1 where false")
"""How a stream stands, and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a look saw: the head of the tenant's stream, whether the tenant is deleted, and the rows at that head."""

    position: int
    deleted: bool
    rows: Sequence[Row]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Seen":
        """Read what came back: at least one row, which says of the stream what all of them say."""
        first = rows[0]
        return cls(
            position=first["stands_at"] or 0,
            deleted=bool(first["stands_deleted"]),
            rows=rows if first["is_found"] else (),
        )
