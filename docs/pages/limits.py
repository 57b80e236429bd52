"""The page of limits: what is measured out, with the numbers of the code."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_settings import BaseSettings

import booking.adapters.history
import booking.adapters.roster
import booking.application.ledger
import booking.domain.calendar
import booking.entrypoints.http
import gateway.adapters.keys
import gateway.application.desk
import gateway.application.refusals
import gateway.domain.preconditions
import gateway.entrypoints.bodies
import gateway.entrypoints.front
import gateway.entrypoints.queries
import gateway.entrypoints.webhooks
import notifications.adapters.connections
import notifications.domain.positions
import servicekit.dead_letters
import servicekit.jobs
import servicekit.kafka
import servicekit.key_api
import servicekit.keys
import servicekit.owner_api
import servicekit.relay
import servicekit.removals
import servicekit.replies
import servicekit.server
import servicekit.tokens
import servicekit.transit
import tenancy.adapters.gateway
import tenancy.application.export
from booking.settings import Settings as DecidingSettings
from gateway.settings import Settings as GatewaySettings
from notifications.settings import Settings as NotificationsSettings
from pages.markdown import code, duration, number, size, table
from production_contracts import artists, audit, bookings, dead_letters, money, times, topics

_HEAD: Final = """\
# Limits

What is measured out, and what happens beyond. The numbers are those of the code. Where a variable is named, the number
is its default and can be [set](settings.md); the others are fixed.

"""
_INVALID: Final = "[invalid-request](problems.md#invalid-request)"
_UNAVAILABLE: Final = "[unavailable](problems.md#unavailable)"
_UNAUTHENTICATED: Final = "[unauthenticated](problems.md#unauthenticated)"

_REQUESTS: Final[tuple[type[BaseModel], ...]] = (
    bookings.BookingRequest,
    bookings.BookingPatch,
    bookings.ContactRequest,
    bookings.CancelRequest,
    artists.ArtistRequest,
    artists.ArtistPatch,
)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit: what is measured, how much there may be, and what happens beyond."""

    what: str
    most: str
    beyond: str


def _limit(what: str, most: str, beyond: str) -> Limit:
    return Limit(what=what, most=most, beyond=beyond)


def _set(service: str, model: type[BaseSettings], name: str, *, unit: str = "") -> str:
    default: Any = model.model_fields[name].default
    written = default if isinstance(default, str) else duration(default) if unit == "s" else number(default)
    return f"{written} ({code(f'{service}_{name}'.upper())})"


def _gateway(name: str, unit: str = "") -> str:
    return _set("gateway", GatewaySettings, name, unit=unit)


def _notifications(name: str, unit: str = "") -> str:
    return _set("notifications", NotificationsSettings, name, unit=unit)


def page() -> str:
    """Make the page."""
    sections = {
        "Requests": _requests(),
        "Text and amounts": _text(),
        "Times and conflicts": _times(),
        "Pages": _pages(),
        "Waits": _waits(),
        "Rates": _rates(),
        "Tokens": _tokens(),
        "Sockets": _sockets(),
        "Kafka and retention": _retention(),
        "Outages": _outages(),
    }
    return _HEAD + "\n".join(f"## {title}\n\n{_table(limits)}" for title, limits in sections.items())


def _table(limits: Iterable[Limit]) -> str:
    return table(("what", "limit", "beyond it"), ((one.what, one.most, one.beyond) for one in limits))


def _requests() -> Iterator[Limit]:
    too_large = "[payload-too-large](problems.md#payload-too-large)"
    headers = "[headers-too-large](problems.md#headers-too-large)"
    yield _limit("body", size(gateway.entrypoints.bodies.LARGEST_BODY), too_large)
    yield _limit("request line and headers together", size(gateway.entrypoints.front.LARGEST_HEAD), headers)
    yield _limit("the same, of booking, tenancy and notifications", size(servicekit.server.LARGEST_HEAD), "refused")
    header = size(gateway.entrypoints.webhooks.LONGEST_HEADER)
    yield _limit("a header of a webhook's signature", header, _UNAUTHENTICATED)
    yield _limit("time to send a body", duration(gateway.entrypoints.bodies.BODY_SECONDS), _UNAVAILABLE)
    internal = size(servicekit.key_api.LARGEST_BODY)
    yield _limit("body of tenancy's internal API of keys", internal, too_large)
    hooks = number(gateway.entrypoints.webhooks.MOST_IN_HAND)
    yield _limit("webhooks in hand at one gateway", hooks, f"{_UNAVAILABLE}: Svix sends them again")
    yield _limit("requests in hand at one gateway", _gateway("requests_in_hand"), f"{_UNAVAILABLE}, unread")
    trail = number(gateway.application.refusals.MOST_IN_HAND)
    yield _limit("refused calls on their way to the audit trail", trail, "logged, and not in the trail")
    agent = f"{number(audit.LONGEST_AGENT)} characters"
    yield _limit("`User-Agent` in the audit trail", agent, "cut; what is not printable ASCII is told as `?`")
    yield _limit("`Idempotency-Key`", "1 to 255 visible ASCII characters", _INVALID)
    tags = number(gateway.domain.preconditions.LONGEST_LIST)
    yield _limit("entity tags in one `If-Match`", tags, _INVALID)
    yield _limit("idle time of a kept connection", duration(servicekit.server.KEEP_ALIVE_SECONDS), "closed")
    yield _limit("time to send a head", duration(servicekit.server.HEAD_SECONDS), "closed")
    yield _limit("time for a TLS handshake", duration(servicekit.server.HEAD_SECONDS), "closed")
    yield _limit("a body, on any port, read or not", size(servicekit.server.LARGEST_BODY), f"{too_large}, closed")
    body = duration(servicekit.server.BODY_SECONDS)
    yield _limit("time to send it", body, f"{_UNAVAILABLE}, closed")
    stall = duration(servicekit.server.STALL_SECONDS)
    yield _limit("time without reading anything of what is written to a connection", stall, "closed")
    yield _limit("requests sent ahead of their answers", number(servicekit.server.PIPELINED), "400, closed")
    yield _limit("connections of one instance", _gateway("http_connections"), f"{_UNAVAILABLE}, closed; not health")
    yield _limit("connections that wait to be taken", number(servicekit.server.BACKLOG), "refused by the system")


def _text() -> Iterator[Limit]:
    for model in _REQUESTS:
        schema = model.model_json_schema()
        for name, property_ in schema["properties"].items():
            bounds = next((one for one in [property_, *property_.get("anyOf", ())] if "maxLength" in one), None)
            if bounds is not None:
                characters = f"{bounds.get('minLength', 0)} to {number(bounds['maxLength'])} characters"
                yield _limit(f"{code(name)} of {code(model.__name__)}", characters, _INVALID)
    yield _limit(
        "`amount` of a fee, in the minor unit of its currency", f"0 to {number(money.LARGEST_AMOUNT)}", _INVALID
    )


def _times() -> Iterator[Limit]:
    days = duration(times.LONGEST)
    yield _limit("a time", f"years {times.EARLIEST.year} to {times.LATEST.year}, to the millisecond", _INVALID)
    yield _limit("length of a booking", f"more than nothing, at most {days}", _INVALID)
    yield _limit("range of `availability`", f"more than nothing, at most {days}", _INVALID)
    busy = number(booking.entrypoints.http.MOST_BUSY)
    yield _limit("bookings in a range of `availability`", busy, f"{_INVALID}: ask for a shorter range")
    told = number(booking.application.ledger.MOST_CONFLICTS_TOLD)
    yield _limit("`conflicts` of a refused booking", told, "the others are not told")
    free = f"{booking.domain.calendar.SUGGESTIONS}, that begin within {duration(booking.domain.calendar.HORIZON)}"
    yield _limit("windows in `next_free`", free, "fewer, or none")
    neighbours = number(booking.application.ledger.MOST_NEIGHBOURS)
    yield _limit("bookings looked at for `next_free`", neighbours, "what lies after them is not offered")


def _pages() -> Iterator[Limit]:
    items = number(gateway.entrypoints.queries.LARGEST_PAGE)
    history = number(gateway.entrypoints.queries.LARGEST_EVENT_PAGE)
    yield _limit("items in a page of bookings or artists", items, _INVALID)
    yield _limit("events, or entries of an audit trail, in a page", history, _INVALID)
    looked_at = number(booking.adapters.history.MOST_LOOKED_AT)
    yield _limit("events that a page with `as_of` looks at", looked_at, "a shorter page, with a `next_cursor`")
    yield _limit("a position in a query", number(gateway.entrypoints.queries.LARGEST_POSITION), _INVALID)


def _waits() -> Iterator[Limit]:
    pending = "202, with where to ask"
    expired = "[expired](problems.md#expired)"
    yield _limit("wait of a write for its outcome", _gateway("wait_seconds", "s"), pending)
    yield _limit("`Prefer: wait=N`", _gateway("wait_seconds_longest", "s"), "cut to that")
    yield _limit("writes that wait at one gateway", _gateway("waiting_commands"), f"{_UNAVAILABLE}, nothing done")
    waiting = duration(gateway.application.desk.EXPIRES_WAITING)
    async_ = duration(gateway.application.desk.EXPIRES_ASYNC)
    yield _limit("time in which a command may be decided, the caller waiting", waiting, expired)
    yield _limit("the same, with `respond-async`", async_, expired)
    reached = duration(servicekit.owner_api.POSITION_WAIT_S)
    yield _limit("wait of a read for its `Min-Position`", reached, _UNAVAILABLE)
    behind = duration(servicekit.owner_api.REPLICA_WAIT_S)
    yield _limit("wait of a read for a replica that is behind", behind, "the primary is read")
    yield _limit("a read that the gateway passes on", _gateway("owner_timeout_seconds", "s"), _UNAVAILABLE)
    published = duration(servicekit.replies.PUBLICATION_DEADLINE_S)
    yield _limit("wait of tenancy's outcomes for Kafka's acknowledgement", published, "the caller asks by command id")
    awaited = number(servicekit.replies.MOST_AWAITED)
    yield _limit("outcomes of tenancy that wait for it", awaited, "the caller asks by command id")
    roster = duration(booking.adapters.roster.PATIENCE_S)
    yield _limit("wait of a booking for an artist that booking does not know yet", roster, _UNAVAILABLE)


def _rates() -> Iterator[Limit]:
    limited = "[rate-limited](problems.md#rate-limited)"
    yield _limit("requests of one user", _gateway("rate_limit_user"), limited)
    yield _limit("requests of one tenant", _gateway("rate_limit_tenant"), limited)


def _tokens() -> Iterator[Limit]:
    yield _limit("length", size(servicekit.tokens.LONGEST_TOKEN), _UNAUTHENTICATED)
    life = _gateway("auth_longest_token_seconds", "s")
    yield _limit("life", f"{life}, the same for each service", _UNAUTHENTICATED)
    leeway = _gateway("auth_leeway_seconds", "s")
    yield _limit("difference of clocks that is tolerated", f"{leeway}, the same for each service", _UNAUTHENTICATED)
    fresh = duration(servicekit.tokens.FRESH_SECONDS)
    yield _limit("trust in an issuer's keys without a look", fresh, "fetched again")
    yield _limit("size of an issuer's key", f"at least {servicekit.keys.SMALLEST_KEY_BITS} bits", "the key is ignored")
    yield _limit("size of an issuer's JWKS", size(servicekit.keys.LARGEST_JWKS), "not read")
    loaded = duration(servicekit.removals.LOAD_PATIENCE_S)
    yield _limit("wait of a request, at a start, until removals are known", loaded, _UNAVAILABLE)


def _sockets() -> Iterator[Limit]:
    resync = "`resync`: read the lists again"
    yield _limit("sockets of one instance", _notifications("max_sockets"), "`connect_error` `unavailable`")
    limited = "`connect_error` `rate-limited`"
    yield _limit("of those, sockets of one user", _notifications("max_sockets_user"), limited)
    yield _limit("of those, sockets of one tenant", _notifications("max_sockets_tenant"), limited)
    back = f"{_notifications('max_packets')}; {_notifications('packets_per_second')} come back in a second"
    yield _limit("packets that a client sends at once", back, "`closing` with the problem, closed; it can resume")
    yield _limit("message of a client, in bytes", _notifications("max_message_bytes"), "closed")
    yield _limit("packets that wait for a socket", _notifications("max_pending"), "closed; it can resume")
    connect = duration(notifications.adapters.connections.CONNECT_SECONDS)
    yield _limit("time to send a Socket.IO `CONNECT` that is let in", connect, "closed")
    cut = duration(notifications.adapters.connections.CLOSE_SECONDS)
    yield _limit("time that a closed socket's connection may take to end", cut, "cut")
    together = number(notifications.adapters.connections.MOST_AT_ONCE)
    yield _limit("packets in one answer to a poll", together, "the next poll")
    doorstep = number(notifications.adapters.connections.DOORSTEP)
    yield _limit("Engine.IO sessions beyond the sockets of one instance", doorstep, "503")
    drain = _notifications("drain_seconds", "s")
    yield _limit("time to read a page of events while catching up", drain, "closed; it can resume")
    yield _limit("events behind the head from which a client may resume", _notifications("resume_limit"), resync)
    largest = number(notifications.domain.positions.LARGEST)
    yield _limit("a position in `after`", largest, "`connect_error` `invalid-request`")
    kept = f"{_notifications('recent_events')} a stream, for {_notifications('recent_seconds', 's')}"
    yield _limit("events that Redis keeps", kept, "read from the owning service")


def _retention() -> Iterator[Limit]:
    kept = {topic.name: topic.retention_ms / 1000 for topic in topics.TOPICS if topic.retention_ms != topics.FOR_EVER}
    for name, seconds in kept.items():
        yield _limit(f"records of {code(name)}", duration(seconds), "removed by Kafka")
    for_ever = ", ".join(code(topic.name) for topic in topics.TOPICS if topic.retention_ms == topics.FOR_EVER)
    yield _limit(f"records of {for_ever}, of the dead-letter topics and of their audit", "for ever", "")
    days = number(servicekit.jobs.COMMAND_LOG_DAYS)
    yield _limit("entries of the audit trail", "for ever", "")
    yield _limit("outcomes in the command log", f"{days} days", "removed by `prune`; the idempotency key is free again")
    yield _limit("which tenants are deleted", "for ever", "")
    partitions = f"{topics.PARTITIONS_LOCAL} locally, {topics.PARTITIONS_PRODUCTION} in production"
    yield _limit("partitions of a topic", partitions, "instances beyond them do nothing")
    yield _limit("events the relay sends in a round", _round(), "the next round, at once")


def _round() -> str:
    tenants, of_each = number(servicekit.relay.TENANTS_A_ROUND), number(servicekit.relay.EVENTS_A_TENANT)
    return f"{of_each} of each of {tenants} tenants"


def _outages() -> Iterator[Limit]:
    again = "tried again, nothing is lost"
    database = _set("booking", DecidingSettings, "database_timeout_seconds", unit="s")
    yield _limit("a statement of PostgreSQL, and the wait for a connection", f"{database}, the same for tenancy", again)
    yield _limit("delivery of a record to Kafka", duration(servicekit.kafka.DELIVERY_TIMEOUT_S), again)
    yield _limit(
        "commit of an offset", duration(servicekit.kafka.COMMIT_TIMEOUT_S), "the batch comes again, and is known"
    )
    largest = size(topics.LARGEST_MESSAGE)
    yield _limit("value and headers of a message that is read", largest, "put aside as `oversized`")
    yield _limit("reason of a dead letter, in characters", number(dead_letters.LONGEST_REASON), "cut off")
    row = _set("booking", DecidingSettings, "dead_letters_in_a_row")
    yield _limit("dead letters in a row", f"{row}, the same for the others", "the consumer stops")
    ratio = _set("booking", DecidingSettings, "dead_letters_ratio")
    window = number(servicekit.dead_letters.WINDOW)
    yield _limit(f"dead letters among the last {window} records of a partition", ratio, "the consumer stops")
    stalled = duration(servicekit.kafka.STALLED_AFTER_S)
    yield _limit("one batch in hand", stalled, "`/readyz` names the consumers")
    keys = duration(gateway.adapters.keys.DEADLINE_SECONDS)
    held = "keys that are held go on; without them a sealed field is " + _UNAVAILABLE
    yield _limit("reading a tenant's keys at tenancy", keys, held)
    yield _limit("a call of a Transit engine", duration(servicekit.transit.DEADLINE_SECONDS), held)
    yield _limit("tenants and people whose keys are held at one gateway", _gateway("keys_held"), "read again")
    fresh = _gateway("keys_fresh_seconds", "s")
    yield _limit("age of keys that are held, until it is looked for new ones", fresh, "at twice that, looked first")
    redis = _gateway("rate_limit_timeout_seconds", "s")
    yield _limit("Redis, at the gateway", redis, "each replica counts by itself")
    tries = number(tenancy.adapters.gateway.TRIES)
    yield _limit("tries of `tenancy export` for a page", tries, "no zip; start it again")
    roster = number(tenancy.application.export.TRIES)
    yield _limit("tries of `tenancy export` for a roster that changes meanwhile", roster, "no zip; start it again")
    lease = duration(servicekit.relay.LEASE_SECONDS)
    yield _limit("lease of a relay that has died", lease, "another instance takes over")
