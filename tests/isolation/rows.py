"""The matrix: what there is, and whose it is.

One row for each route of each service, each socket event and room, each topic, each table and each key in Redis. The
tests beside this file read from the applications, the broker, the catalogues and Redis what there really is: what has
no row fails, and so does a row that stands for nothing. What is added to the system is added here, in one line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from local_stack.clients.nights import night
from local_stack.clients.tenant import wish
from production_contracts import topics
from production_contracts.events import EVENT_TYPES
from production_contracts.roles import Permission
from production_contracts.roles import Permission as P  # noqa: N817 - it stands in every line
from servicekit import key_api

# --- routes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ids:
    """What a request may name: a tenant's own, another's, or nobody's."""

    tenant: str
    booking: str
    artist: str
    member: str
    command: str
    """A command of booking, as the gateway names it; below, as booking knows it, and the same of one of tenancy."""
    command_id: str
    roster_command: str
    roster_command_id: str


Fill = Callable[[Ids], Mapping[str, Any]]
Door = Literal["token", "anybody", "others"]
LIST: Final = 200
NOT_THERE: Final = 404
NOT_YOURS: Final = 422
"""What a gateway knows by itself not to be the caller's: nobody is asked."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route, who gets in, and what it says of what is not the caller's.

    Behind the door ``token`` stands one tenant's data: a token is needed whose role holds ``needs``. Behind ``anybody``
    there is nothing of any tenant. ``others`` (a signature, a key of a service) lets no user's token in at all.
    """

    service: str
    method: str
    path: str
    door: Door = "token"
    needs: Permission | None = None
    of: str | None = None
    """Which of `Ids` the path names."""
    query: Fill | None = None
    body: Fill | None = None
    """What else the request says; a query or body that names an id makes the route one that names something."""
    names: bool = False
    shows: str | None = None
    """Which of the caller's own `Ids` the answer holds, so that an empty answer proves nothing."""
    foreign: int = NOT_THERE
    """The status for what is another's and for what is nowhere."""
    ends: bool = False
    """Whether it ends the tenant that asks: it is asked by one made for that."""

    def __str__(self) -> str:
        """Name it in a test's id."""
        return f"{self.service} {self.method} {self.path}"

    @property
    def crossed(self) -> bool:
        """Whether a request names something that may be the caller's own, another's or nobody's."""
        return self.of is not None or self.names

    def address(self, ids: Ids) -> str:
        """Fill in the path."""
        return self.path if self.of is None else self.path[: self.path.index("{")] + getattr(ids, self.of) + self._rest

    @property
    def _rest(self) -> str:
        return self.path[self.path.index("}") + 1 :]


def public(service: str, *paths: str) -> tuple[Route, ...]:
    """Addresses with nothing of any tenant."""
    return tuple(Route(service=service, method="GET", path=path, door="anybody") for path in paths)


def read(service: str, path: str, needs: Permission, **more: Any) -> Route:  # noqa: ANN401 - as Route takes them
    """A read."""
    return Route(service=service, method="GET", path=path, needs=needs, **more)


def write(method: str, path: str, needs: Permission, **more: Any) -> Route:  # noqa: ANN401 - as Route takes them
    """A write at the gateway."""
    return Route(service="gateway", method=method, path=path, needs=needs, **more)


def _window(_: Ids) -> dict[str, str]:
    return {"from": "2027-05-01T00:00:00Z", "to": "2027-06-01T00:00:00Z"}


def _of_artist(ids: Ids) -> dict[str, str]:
    return {"artist_id": ids.artist}


def _confirmed(ids: Ids) -> dict[str, str]:
    return {"confirm": ids.tenant}


def _tenants(ids: Ids) -> dict[str, Any]:
    return {"tenants": [ids.tenant]}


def _offered(ids: Ids) -> dict[str, Any]:
    return {"key": {"tenant_id": ids.tenant, "kid": "k", "master": "m", "wrapped": "w"}}


def _stream(name: str) -> Fill:
    return lambda _: {"stream": name}


OPERATIONS: Final = ("/healthz", "/readyz", "/metrics")
DOCUMENTS: Final = ("/openapi.json", "/docs", "/docs/oauth2-redirect")
BOOKING, ARTIST = "/v1/bookings/{id}", "/v1/artists/{id}"

ROUTES: Final = (
    *public("gateway", *OPERATIONS, *DOCUMENTS),
    *public("booking", *OPERATIONS),
    *public("tenancy", *OPERATIONS),
    *public("notifications", *OPERATIONS, "/socket.io/"),
    write("POST", "/v1/bookings", P.BOOKINGS_WRITE, names=True, body=lambda ids: wish({"id": ids.artist}, 1)),
    read("gateway", "/v1/bookings", P.BOOKINGS_READ, shows="booking"),
    read("gateway", "/v1/bookings", P.BOOKINGS_READ, names=True, query=_of_artist, foreign=LIST, shows="booking"),
    read("gateway", BOOKING, P.BOOKINGS_READ, of="booking"),
    write("PATCH", BOOKING, P.BOOKINGS_WRITE, of="booking", body=lambda _: {"title": "Mine"}),
    write("POST", BOOKING + "/confirm", P.BOOKINGS_WRITE, of="booking"),
    write("POST", BOOKING + "/cancel", P.BOOKINGS_WRITE, of="booking", body=lambda _: {"reason": "spite"}),
    write("POST", BOOKING + "/reschedule", P.BOOKINGS_WRITE, of="booking", body=lambda _: night(5)),
    read("gateway", BOOKING + "/events", P.BOOKINGS_READ, of="booking", shows="booking"),
    write("POST", "/v1/artists", P.ROSTER_WRITE, body=lambda _: {"name": "Ada"}),
    read("gateway", "/v1/artists", P.ROSTER_READ, shows="artist"),
    read("gateway", ARTIST, P.ROSTER_READ, of="artist"),
    write("PATCH", ARTIST, P.ROSTER_WRITE, of="artist", body=lambda _: {"name": "Mine"}),
    write("POST", ARTIST + "/archive", P.ROSTER_WRITE, of="artist"),
    read("gateway", ARTIST + "/availability", P.BOOKINGS_READ, of="artist", query=_window),
    read("gateway", "/v1/events", P.BOOKINGS_READ, query=_stream("booking"), shows="booking"),
    read("gateway", "/v1/events", P.ROSTER_READ, query=_stream("tenancy"), shows="artist"),
    read("gateway", "/v1/commands/{id}", P.BOOKINGS_READ, of="command"),
    read("gateway", "/v1/commands/{id}", P.BOOKINGS_READ, of="roster_command"),
    read("gateway", "/v1/audit", P.AUDIT_READ, query=_stream("booking"), shows="booking"),
    read("gateway", "/v1/audit", P.AUDIT_READ, query=_stream("tenancy"), shows="artist"),
    read("gateway", "/v1/tenant", P.ROSTER_READ, shows="tenant"),
    write("DELETE", "/v1/tenant", P.TENANT_DELETE, names=True, query=_confirmed, foreign=NOT_YOURS, ends=True),
    read("gateway", "/v1/members", P.MEMBERS_READ, shows="member"),
    Route(service="gateway", method="POST", path="/v1/webhooks/clerk", door="others"),
    read("booking", "/v1/bookings", P.BOOKINGS_READ, shows="booking"),
    read("booking", "/v1/bookings", P.BOOKINGS_READ, names=True, query=_of_artist, foreign=LIST, shows="booking"),
    read("booking", "/v1/bookings/{booking_id}", P.BOOKINGS_READ, of="booking"),
    read("booking", "/v1/bookings/{booking_id}/events", P.BOOKINGS_READ, of="booking", shows="booking"),
    read("booking", "/v1/artists/{artist_id}/availability", P.BOOKINGS_READ, of="artist", query=_window),
    read("booking", "/v1/events", P.BOOKINGS_READ, shows="booking"),
    read("booking", "/v1/commands/{command_id}", P.BOOKINGS_READ, of="command_id"),
    read("booking", "/v1/audit", P.AUDIT_READ, shows="booking"),
    read("booking", "/v1/head", P.BOOKINGS_READ),
    read("tenancy", "/v1/artists", P.ROSTER_READ, shows="artist"),
    read("tenancy", "/v1/artists/{artist_id}", P.ROSTER_READ, of="artist"),
    read("tenancy", "/v1/tenant", P.ROSTER_READ, shows="tenant"),
    read("tenancy", "/v1/members", P.MEMBERS_READ, shows="member"),
    read("tenancy", "/v1/events", P.ROSTER_READ, shows="artist"),
    read("tenancy", "/v1/commands/{command_id}", P.ROSTER_READ, of="roster_command_id"),
    read("tenancy", "/v1/audit", P.AUDIT_READ, shows="artist"),
    read("tenancy", "/v1/head", P.ROSTER_READ),
    Route(service="tenancy", method="POST", path=key_api.READ, door="others", body=_tenants),
    Route(service="tenancy", method="POST", path=key_api.OFFER, door="others", body=_offered),
)
"""A route may have several rows: one for each thing that a request can name."""

# --- sockets ----------------------------------------------------------------------------------------------------------

SENT_BY_CLIENTS: Final = ("connect", "auth:renew", "disconnect")
SENT_TO_A_TENANT: Final = tuple(kind.socket for kind in EVENT_TYPES)
SENT_TO_ONE_SOCKET: Final = ("ready", "resync")
ROOMS: Final[Mapping[str, str]] = {
    r"tenant:(?P<tenant>[0-9a-f-]{36})": "the sockets of that tenant",
    r"(?P<socket>[A-Za-z0-9_-]{20})": "one socket",
}

# --- topics -----------------------------------------------------------------------------------------------------------

Keyed = Literal["tenant", "letter"]
TOPICS: Final[Mapping[str, Keyed]] = {
    topics.BOOKING_COMMANDS.name: "tenant",
    topics.BOOKING_EVENTS.name: "tenant",
    topics.TENANCY_COMMANDS.name: "tenant",
    topics.TENANCY_EVENTS.name: "tenant",
    topics.GATEWAY_REPLIES.name: "tenant",
    topics.BOOKING_COMMANDS.dead_letters: "letter",
    topics.BOOKING_EVENTS.dead_letters: "letter",
    topics.TENANCY_COMMANDS.dead_letters: "letter",
    topics.TENANCY_EVENTS.dead_letters: "letter",
    topics.GATEWAY_REPLIES.dead_letters: "letter",
    topics.DEAD_LETTER_AUDIT.name: "letter",
}
"""A record is its key's: of the tenant that key and header name, or, as a letter, of whatever key it came with."""

# --- tables -----------------------------------------------------------------------------------------------------------

Whose = Literal["tenant", "positions", "nobody"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: whose rows it holds, and what the serving role may do to them.

    ``tenant``: under forced row-level security. ``positions``: it names tenants and holds no more than numbers of
    theirs (these columns), so that jobs can walk the tenants. ``nobody``: it names no tenant. ``values`` are SQL for
    columns of which more is wanted than any value of their type.
    """

    service: str
    name: str
    may: str
    whose: Whose = "tenant"
    columns: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it in a test's id."""
        return f"{self.service}.{self.name}"


AUDITED: Final = ("audited", "audited_digest", "audited_from")


def journal(service: str) -> tuple[Table, ...]:
    """The tables that every owner of a stream has."""
    return (
        Table(service=service, name="events", may="select insert"),
        Table(service=service, name="command_log", may="select insert delete", values={"audited": "1"}),
        Table(service=service, name="audit", may="select insert"),
        Table(
            service=service,
            name="streams",
            may="select insert update",
            whose="positions",
            columns=("tenant_id", "position", "published", "last_at", "deleted", *AUDITED),
        ),
        Table(service=service, name="leases", may="select insert update", whose="nobody"),
        Table(service=service, name="epoch", may="select", whose="nobody"),
        Table(service=service, name="alembic_version", may="select", whose="nobody"),
    )


TABLES: Final = (
    *journal("booking"),
    Table(
        service="booking",
        name="bookings",
        may="select insert update delete",
        values={"status": "'pencil'", "end_time": "now() + interval '1 hour'"},
    ),
    Table(service="booking", name="artists", may="select insert update"),
    Table(service="booking", name="roster_offsets", may="select insert update", whose="nobody"),
    *journal("tenancy"),
    Table(service="tenancy", name="tenants", may="select insert update delete"),
    Table(service="tenancy", name="artists", may="select insert update delete", values={"status": "'active'"}),
    Table(service="tenancy", name="members", may="select insert update delete", values={"status": "'active'"}),
    Table(service="tenancy", name="invitations", may="select insert update delete", values={"status": "'pending'"}),
    Table(service="tenancy", name="people", may="select insert update"),
    Table(service="tenancy", name="data_keys", may="select insert update delete"),
)

# --- Redis ------------------------------------------------------------------------------------------------------------

KEYS: Final[Mapping[str, str]] = {
    r"live:\{(?P<tenant>[0-9a-f-]{36})\}:(booking|tenancy)": "recent events of that tenant",
    r"gateway:rate:LIMITER/tenant/(?P<tenant>[0-9a-f-]{36})/\d+/1/second": "how often that tenant asks",
    r"gateway:rate:LIMITER/user/(?P<digest>[0-9a-f]{32})/\d+/1/second": "how often somebody asks; who, is a digest",
}
CHANNELS: Final[Mapping[str, str]] = {
    r"live:\{(?P<tenant>[0-9a-f-]{36})\}": "new events of that tenant",
    r"live:hearth": "nothing is said here",
}
