"""Rejecting the command of a dead letter: in the command log, under the lock of its stream, as every other outcome."""

from dataclasses import dataclass
from uuid import UUID

import orjson

from production_contracts.commands import Idempotency
from production_contracts.envelope import tenant_key
from production_contracts.problems import EXPIRED, problem_body
from servicekit import journal
from servicekit.clock import now
from servicekit.database import Database
from servicekit.deadletters.letters import Letter
from servicekit.journal import LoggedOutcome

UNKNOWN_AUTHOR = "unknown"
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


async def reject(database: Database, letter: Letter) -> str:
    """Reject a letter's command with `expired`; an outcome that it has already stands. Says what became of it."""
    named = _read(letter)
    if named is None:
        return "it names no command that anybody could ask for"
    command = (named.tenant_id, named.command_id)
    async with database.transaction({named.tenant_id}) as connection:
        head = (await journal.lock_streams(connection, {named.tenant_id}))[named.tenant_id]
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
            key=asked.key if asked else None,
            fingerprint=asked.fingerprint if asked else None,
            status=EXPIRED.status,
            body=problem_body(EXPIRED, _DETAIL),
            position=head.position,
            decided_at=now(),
        )
        await journal.append(connection, [], [outcome], {})
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
    author, idempotency = _read_value(letter.value)
    return _Named(tenant_id=tenant_id, command_id=command_id, author=author, idempotency=idempotency)


def _read_value(value: bytes) -> tuple[str, Idempotency | None]:
    try:
        body = orjson.loads(value)
        author = body["author"]["sub"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return UNKNOWN_AUTHOR, None
    if not isinstance(author, str) or "\0" in author:
        return UNKNOWN_AUTHOR, None
    try:
        idempotency = Idempotency.model_validate(body.get("idempotency"))
    except ValueError:
        return author, None
    if "\0" in idempotency.key + idempotency.fingerprint:
        return author, None
    return author, idempotency
