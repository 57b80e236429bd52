"""Rejecting the command of a dead letter: in the command log, under the lock of its stream, as every other outcome."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from production_contracts.audit import CallOrigin
from production_contracts.commands import Idempotency
from production_contracts.envelope import tenant_key
from production_contracts.events import Stream
from production_contracts.problems import EXPIRED, problem_body
from production_contracts.roles import Role
from servicekit import journal
from servicekit.audit.chain import Asked
from servicekit.clock import now
from servicekit.database import Database
from servicekit.deadletters.letters import Letter
from servicekit.journal import LoggedOutcome

UNKNOWN_AUTHOR = "unknown"
UNKNOWN_TYPE = "unknown"
LONGEST_TYPE = 200
_DETAIL = (
    "it could not be handled, an operator discarded it and nothing happened; try again, with a new Idempotency-Key"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """What a dead letter says of its command, as far as it can be read."""

    tenant_id: UUID
    command_id: UUID
    author: str
    idempotency: Idempotency | None
    asked: Asked


async def reject(database: Database, stream: Stream, letter: Letter) -> str:
    """Reject a letter's command with `expired`; an outcome that it has already stands. Says what became of it."""
    named = _read(letter)
    if named is None:
        return "it names no command that anybody could ask for"
    command = (named.tenant_id, named.command_id)
    async with database.transaction({named.tenant_id}) as connection:
        heads = await journal.lock_streams(connection, stream, {named.tenant_id})
        if command in await journal.known_commands(connection, [command]):
            return f"command {named.command_id} had its outcome already"
        asked = named.idempotency
        key = None if asked is None else (named.tenant_id, named.author, asked.key)
        if key is not None and key in await journal.known_keys(connection, [key]):
            asked = None  # another request has taken it meanwhile
        outcome = LoggedOutcome(
            tenant_id=named.tenant_id,
            command_id=named.command_id,
            actor=named.author,
            asked=named.asked,
            key=asked.key if asked else None,
            fingerprint=asked.fingerprint if asked else None,
            status=EXPIRED.status,
            body=problem_body(EXPIRED, _DETAIL),
            position=heads[named.tenant_id].position,
            decided_at=now(),
        )
        await journal.append(connection, stream, [], [outcome], heads)
    return f"command {named.command_id} is rejected"


def _read(letter: Letter) -> _Named | None:
    """Read what can be read: the headers say which command it is, even where its value says nothing."""
    try:
        tenant_id = UUID(letter.header("ce_tenantid") or "")
        command_id = UUID(letter.header("ce_id") or "")
    except ValueError:
        return None
    if letter.key != tenant_key(tenant_id):
        return None  # whose it is can't be said, and one tenant's word is not taken for another
    body = _read_value(letter.value)
    author = body["author"]["sub"] if body else UNKNOWN_AUTHOR
    asked = Asked(
        role=_role(body),
        origin=CallOrigin(channel="operator").model_dump(mode="json"),
        operation=_clean(letter.header("ce_type")) or UNKNOWN_TYPE,
        aggregate_id=_subject(letter),
        data=_data(body),
    )
    return _Named(
        tenant_id=tenant_id, command_id=command_id, author=author, idempotency=_idempotency(body), asked=asked
    )


def _read_value(value: bytes) -> dict[str, Any]:
    """Read a command's value that names its author; empty where it is none."""
    try:
        body = orjson.loads(value)
        author = body["author"]["sub"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return {}
    return body if isinstance(author, str) and "\0" not in author else {}


def _idempotency(body: dict[str, Any]) -> Idempotency | None:
    try:
        idempotency = Idempotency.model_validate(body.get("idempotency"))
    except ValueError:
        return None
    return None if "\0" in idempotency.key + idempotency.fingerprint else idempotency


def _role(body: dict[str, Any]) -> str | None:
    try:
        return Role(body["author"]["role"]).value
    except (LookupError, ValueError):
        return None


def _subject(letter: Letter) -> UUID | None:
    try:
        return UUID(letter.header("ce_subject") or "")
    except ValueError:
        return None


def _data(body: dict[str, Any]) -> dict[str, Any] | None:
    """Give what was asked, if it is something that the trail can hold as it is."""
    data = body.get("data")
    return data if isinstance(data, dict) else None


def _clean(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "")[:LONGEST_TYPE]
