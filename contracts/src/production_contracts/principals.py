"""Who may do what on Kafka, declared once: the broker's ACLs are made from this table, and nothing else is allowed.

Every part authenticates as a principal of its own. Beside these stand the broker itself and `PROVISIONING`, the job
that creates the topics and writes the ACLs: the two that no ACL binds.
"""

from dataclasses import dataclass
from typing import Final

from production_contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    DEAD_LETTER_AUDIT,
    DEAD_LETTER_SUFFIX,
    GATEWAY_REPLIES,
    TENANCY_COMMANDS,
    TENANCY_EVENTS,
    Topic,
)

PROVISIONING: Final = "provisioning"
DEAD_LETTER_TRANSACTIONS: Final = "deadletters"
"""The transactional id under which dead letters are decided: one for all, so that operators fence each other."""
ANY: Final = "*"
"""At the end of a name: every name that begins so."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A part and its rights: topics it reads and writes, consumer groups it joins, transactional ids it may take.

    Whoever may read or write a topic may also ask about it. A group or an id that ends with `ANY` is a prefix.
    """

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()


def _names(*topics: Topic) -> tuple[str, ...]:
    return tuple(topic.name for topic in topics)


def _consumer(name: str, *, reads: tuple[Topic, ...], writes: tuple[Topic, ...], groups: tuple[str, ...]) -> Principal:
    """Let a service put aside what it can't handle of the topics that it reads."""
    dead_letters = tuple(topic.dead_letters for topic in reads)
    return Principal(name=name, reads=_names(*reads), writes=_names(*writes) + dead_letters, groups=groups)


def _dead_letter_tool(service: Principal) -> Principal:
    """Let a service's dead letters be sent again, and each step of it be written down."""
    return Principal(
        name=f"{service.name}-deadletters",
        reads=(*(topic + DEAD_LETTER_SUFFIX for topic in service.reads), DEAD_LETTER_AUDIT.name),
        writes=(*service.reads, DEAD_LETTER_AUDIT.name),
        transactions=(DEAD_LETTER_TRANSACTIONS,),
    )


GATEWAY: Final = _consumer(
    "gateway", reads=(GATEWAY_REPLIES, TENANCY_EVENTS), writes=(BOOKING_COMMANDS, TENANCY_COMMANDS), groups=()
)
BOOKING: Final = _consumer(
    "booking",
    reads=(BOOKING_COMMANDS, TENANCY_EVENTS),
    writes=(BOOKING_EVENTS, GATEWAY_REPLIES),
    groups=("booking",),
)
TENANCY: Final = _consumer(
    "tenancy",
    reads=(TENANCY_COMMANDS, TENANCY_EVENTS),
    writes=(TENANCY_EVENTS, GATEWAY_REPLIES),
    groups=("tenancy",),
)
NOTIFICATIONS: Final = _consumer(
    "notifications", reads=(BOOKING_EVENTS, TENANCY_EVENTS), writes=(), groups=("notifications",)
)
DOWNSTREAM: Final = Principal(
    name="downstream", reads=_names(BOOKING_EVENTS, TENANCY_EVENTS), groups=(f"downstream-{ANY}",)
)
PRINCIPALS: Final = (
    GATEWAY,
    BOOKING,
    TENANCY,
    NOTIFICATIONS,
    DOWNSTREAM,
    *(_dead_letter_tool(service) for service in (BOOKING, TENANCY, NOTIFICATIONS)),
)
