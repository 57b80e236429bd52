"""Finding culprits: work that fails for no transient reason is halved until what fails it stands alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import ProgrammingError

from servicekit.database import is_transient
from servicekit.kafka import ConsumerStoppedError, KafkaUnavailableError

HALVED = Counter("consumer_batches_halved_total", "Batches halved in search of a culprit", ["consumer"])

T = TypeVar("T")

log = structlog.get_logger(__name__)


def is_outage(error: BaseException) -> bool:
    """Tell whether an error says nothing of the work in hand: what failed is to come again, whole.

    A ProgrammingError is a table or a right that is missing: no record can help it.
    """
    return is_transient(error) or isinstance(error, KafkaUnavailableError | ProgrammingError | ConsumerStoppedError)


async def halve(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[None]],
    put_aside: Callable[[T, Exception], Awaitable[None]],
    consumer: str,
) -> None:
    """Do ``work`` on items, in order; one that makes it fail every time is put aside, the others are worked on.

    Raises:
        Exception: an outage, or what ``put_aside`` raises; a part of the work may be done.
    """
    try:
        await work(items)
    except Exception as error:
        if is_outage(error):
            raise
        if len(items) == 1:
            await put_aside(items[0], error)
            return
        HALVED.labels(consumer=consumer).inc()
        log.warning("batch_halved", consumer=consumer, size=len(items), error=repr(error))
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            await halve(half, work, put_aside, consumer)
