"""Deciding on dead letters: each is sent again or given up, at most once, in the order of its key, on the record.

A letter is sent again in one Kafka transaction: the record to its topic, and a line to the audit topic. The tools of
all services have one transactional id, so a second operator fences the first one off, whose transaction then has no
effect; and since each reads the audit only after that, a letter with a line is never sent again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from production_contracts.dead_letters import DeadLetterDecision, Origin, audit_record
from production_contracts.principals import DEAD_LETTER_TRANSACTIONS
from production_contracts.topics import COMMANDS_OF, LARGEST_DEAD_LETTER
from servicekit.clock import now
from servicekit.deadletters.letters import DEADLINE_S, Connection, Letter, LetterBook
from servicekit.kafka import REQUEST_TIMEOUT_MS

TRANSACTION_MS: Final = 10_000
"""What a tool that has died leaves open is ended by Kafka after so long; consumers of the partition wait for it."""

_COMMANDS: Final = frozenset(topic.name for topic in COMMANDS_OF.values())

Reject = Callable[[Letter], Awaitable[str]]
"""Rejects the command of a letter, before that is on the record; says what became of it."""
Choose = Callable[[LetterBook], Sequence[Letter]]
Tell = Callable[[str], None]


class RefusedError(Exception):
    """This is not done: the message says why, and what to do."""


class DecisionDesk:
    """Where one operator decides on the dead letters of a service's topics."""

    def __init__(
        self, connection: Connection, *, service: str, operator: str, topics: Collection[str], tell: Tell
    ) -> None:
        """Decide as ``operator``; ``tell`` hears of each letter, once it is decided."""
        self._connection = connection
        self._service = service
        self._operator = operator
        self._topics = topics
        self._tell = tell

    async def redrive(self, choose: Choose, mended: bytes | None = None) -> int:
        """Send letters again, in order, with their own headers or one with a ``mended`` value; gives how many.

        Raises:
            RefusedError: it would be out of order, or change an event; or somebody else began to decide meanwhile:
                what was told before is done, the rest is not.
            TimeoutError: Kafka stopped answering; the last one may be done, which `LetterBook.read` shows.
            KafkaError: as above.
        """
        async with self._deciding() as (producer, book):
            chosen = _in_order(choose(book))
            self._hold_sent(chosen)
            _hold_order(book, chosen)
            if mended is not None:
                _hold_mendable(chosen)
            for letter in chosen:
                await self._send(producer, letter, mended)
        return len(chosen)

    async def discard(self, choose: Choose, reject: Reject | None) -> int:
        """Give letters up; gives how many. A command is rejected first.

        Raises:
            RefusedError: somebody else began to decide meanwhile: what was told before is done, the rest is not.
            Exception: as `redrive`, and whatever ``reject`` raises.
        """
        async with self._deciding() as (producer, book):
            chosen = _in_order(choose(book))
            for letter in chosen:
                rejects = reject is not None and letter.origin.topic in _COMMANDS
                became = await reject(letter) if reject is not None and rejects else "there was nothing to reject"
                async with asyncio.timeout(DEADLINE_S), producer.transaction():
                    await self._note(producer, letter, "discarded")
                self._tell(f"{letter.origin} discarded: {became}")
        return len(chosen)

    @asynccontextmanager
    async def _deciding(self) -> AsyncIterator[tuple[AIOKafkaProducer, LetterBook]]:
        """Fence others off, and read what they had decided until then: in this order."""
        producer = AIOKafkaProducer(
            **self._connection,
            transactional_id=DEAD_LETTER_TRANSACTIONS,
            transaction_timeout_ms=TRANSACTION_MS,
            acks="all",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            max_request_size=LARGEST_DEAD_LETTER,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                await producer.start()
            yield producer, await LetterBook.read(self._connection, self._topics)
        except ProducerFenced:
            message = (
                "somebody else began to decide on dead letters; what is not told above was not done: list them again"
            )
            raise RefusedError(message) from None
        finally:
            await producer.stop()

    def _hold_sent(self, chosen: Sequence[Letter]) -> None:
        for letter in chosen:
            if letter.origin.topic not in self._topics:
                message = f"{letter.origin} does not say where it stood: it can be discarded only"
                raise RefusedError(message)

    async def _send(self, producer: AIOKafkaProducer, letter: Letter, mended: bytes | None) -> None:
        value = letter.value if mended is None else mended
        async with asyncio.timeout(DEADLINE_S), producer.transaction():
            sent = await producer.send_and_wait(
                letter.origin.topic,
                key=letter.key,
                value=value,
                headers=letter.headers,
                partition=letter.origin.partition,
            )
            await self._note(
                producer, letter, "redriven", None if mended is None else hashlib.sha256(mended).hexdigest()
            )
        self._tell(f"{letter.origin} redriven: it stands at {sent.topic}/{sent.partition}/{sent.offset}")

    async def _note(
        self,
        producer: AIOKafkaProducer,
        letter: Letter,
        action: Literal["redriven", "discarded"],
        mended: str | None = None,
    ) -> None:
        moment = now()
        decision = DeadLetterDecision(
            origin=letter.origin,
            action=action,
            operator=self._operator,
            service=self._service,
            at=moment.replace(microsecond=moment.microsecond // 1000 * 1000),
            reason=letter.reason,
            command_id=letter.header("ce_id"),
            mended=mended,
        )
        record = audit_record(decision, letter.key)
        await producer.send_and_wait(record.topic, key=record.key, value=record.value, headers=record.headers)


def find(book: LetterBook, origins: Collection[Origin]) -> list[Letter]:
    """Find letters by where they stood.

    Raises:
        RefusedError: one is not there, or decided.
    """
    known = {letter.origin: letter for letter in book.open}
    found = []
    for origin in origins:
        if (decision := book.decisions.get(origin)) is not None:
            message = f"{origin} was {decision.action} by {decision.operator} at {decision.at:%Y-%m-%d %H:%M:%S} UTC"
            raise RefusedError(message)
        if origin not in known:
            message = f"{origin} is no dead letter of this service; `deadletters list` names them"
            raise RefusedError(message)
        found.append(known[origin])
    return found


def _in_order(letters: Sequence[Letter]) -> list[Letter]:
    return sorted(letters, key=lambda letter: letter.order)


def _hold_order(book: LetterBook, chosen: Sequence[Letter]) -> None:
    """Hold that no letter overtakes an undecided one of its key."""
    origins = {letter.origin for letter in chosen}
    for letter in chosen:
        overtaken = [str(one.origin) for one in book.before(letter) if one.origin not in origins]
        if overtaken:
            message = (
                f"{letter.origin} would overtake {', '.join(overtaken)} of the same key: redrive them together, or "
                "discard those first"
            )
            raise RefusedError(message)


def _hold_mendable(chosen: Sequence[Letter]) -> None:
    for letter in chosen:
        if letter.origin.topic not in _COMMANDS:
            message = f"{letter.origin} is not a command: an event says what its service has stored, and is not changed"
            raise RefusedError(message)
