"""Whatever comes in is read or refused as declared, and nothing else comes out of a decoder, nor does it hang.

Every fragment of `hostile` stands in every place of a well-formed message of each kind; hypothesis goes on from there.
What a decoder declares is all that its callers catch: anything else is a 500, a consumer that stops, or a dead socket.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import Request
from tests.attack.hostile import FRAGMENTS, mutated, objects, texts, twisted

from booking.adapters.bookings import Filters
from booking.entrypoints import cursors as booking_cursors
from booking.entrypoints.cursors import PastList
from gateway.application.desk import Desk
from gateway.application.tidings import Tidings
from gateway.domain.command_ids import CommandIds
from gateway.domain.preferences import patience
from gateway.entrypoints import bodies, conditions, front, queries
from gateway.entrypoints.openapi.operations import OPERATIONS
from gateway.testing import FakeKafka, FakeKeyring
from local_stack import clerk
from local_stack.clerk import INVITATION_TYPES, MEMBERSHIP_TYPES, ORGANIZATION_TYPES, USER_TYPES
from notifications.application.admission import Door
from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head
from production_contracts.audit import CallOrigin
from production_contracts.commands import COMMAND_TYPES, CommandType
from production_contracts.dead_letters import DeadLetterDecision, Origin
from production_contracts.envelope import Headers, UnreadableError, cloud_headers, read_command, read_event
from production_contracts.events import EVENT_TYPES, EventType
from production_contracts.outcomes import Reply
from production_contracts.records import Request as Asked
from production_contracts.roles import Role
from servicekit import keys, tracing
from servicekit.clerk import Facts
from servicekit.problems import ProblemError
from servicekit.settings import IssuerSettings
from servicekit.tokens import Principal, TokenVerifier, bearer_token
from servicekit.vault import AesVault
from tenancy.entrypoints import http as tenancy_http

pytestmark = pytest.mark.timeout(120)  # the fragments take a second or so; a decoder that hangs takes for ever
TENANT = UUID("8a0b1c2d-0000-4000-8000-00000000000a")
TIME = "2027-05-08T20:00:00.000Z"


# --- Kafka ------------------------------------------------------------------------------------------------------------


def envelope(kind: str, **more: str) -> Headers:
    attributes = {"id": str(uuid4()), "source": "/x", "type": kind, "subject": str(uuid4()), "time": TIME}
    return cloud_headers(attributes | {"tenantid": str(TENANT)} | more)


def _example(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Write something that a schema allows."""
    if "$ref" in schema:
        return _example(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], definitions)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return {name: _example(inner, definitions) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [_example(schema["items"], definitions)]
    formats = {"uuid": str(uuid4()), "date-time": TIME}
    return {"integer": 1, "number": 1, "boolean": True, "null": None}.get(
        schema.get("type", "string"), formats.get(schema.get("format", ""), "text")
    )


def example_of(model: Any) -> Any:  # noqa: ANN401 - a pydantic model, and JSON
    schema = model.model_json_schema()
    return _example(schema, schema.get("$defs", {}))


def command_body(kind: CommandType) -> dict[str, Any]:
    author = {"sub": "user_ana", "role": "org:admin", "iat": 1}
    idempotency = {"key": "k", "fingerprint": "f"}
    body = {"author": author, "expires_at": TIME, "idempotency": idempotency, "expected_versions": [1]}
    return body | {"data": example_of(kind.data)}


def event_body(kind: EventType) -> dict[str, Any]:
    return {
        "stream": kind.stream,
        "position": 7,
        "id": str(uuid4()),
        "type": kind.name,
        "aggregate_id": str(uuid4()),
        "version": 1,
        "occurred_at": TIME,
        "actor": "user_ana",
        "data": {"title": "x", "venue": None},
    }


def read_or(declared: type[Exception] | tuple[type[Exception], ...], read: Callable[[], object]) -> bool:
    """Read it, or see it refused as declared; tells whether it was read."""
    try:
        read()
    except declared:
        return False
    return True


async def read_or_refuse(read: Awaitable[object], slugs: set[str]) -> None:
    """Read it, or see it refused with one of these problems, which can be written as an answer."""
    try:
        await read
    except ProblemError as error:
        problem = error
    else:
        return
    assert problem.kind.slug in slugs
    assert problem.response().body


@pytest.mark.parametrize("kind", COMMAND_TYPES, ids=lambda kind: kind.name)
def test_commands(kind: CommandType) -> None:
    headers, good, key = envelope(kind.name, replypartition="3"), command_body(kind), str(TENANT).encode()
    read_command(key, json.dumps(good).encode(), headers)
    for value in twisted(good):
        read_or(UnreadableError, partial(read_command, key, value, headers))


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.name)
def test_events(kind: EventType) -> None:
    headers, good, key = envelope(kind.kafka, position="7"), event_body(kind), str(TENANT).encode()
    assert read_event(key, json.dumps(good).encode(), headers) is not None
    for value in twisted(good):
        read_or(UnreadableError, partial(read_event, key, value, headers))


HEADERS = ("ce_id", "ce_type", "ce_subject", "ce_tenantid", "ce_position", "ce_replypartition", "traceparent")


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str) -> None:
    kind, key = COMMAND_TYPES[0], str(TENANT).encode()
    value, event = json.dumps(command_body(kind)).encode(), json.dumps(event_body(EVENT_TYPES[0])).encode()
    for fragment in (*FRAGMENTS, b"\xd9\xa3", b"+1", b"0x1", b"1_0", b" 1", str(TENANT).upper().encode()):
        command = [*envelope(kind.name), (name, fragment)]
        happened = [*envelope(EVENT_TYPES[0].kafka, position="7"), (name, fragment)]
        read_or(UnreadableError, partial(read_command, key, value, command))
        read_or(UnreadableError, partial(read_event, key, event, happened))
        tracing.traceparent_of(command)


@given(st.none() | st.binary(max_size=40), st.data())
def test_any_record(key: bytes | None, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(COMMAND_TYPES))
    value = data.draw(mutated(json.dumps(command_body(kind)).encode()))
    extra = data.draw(st.lists(st.tuples(st.sampled_from([*HEADERS, "x"]), st.binary(max_size=20)), max_size=4))
    for key_ in (key, str(TENANT).encode()):
        read_or(UnreadableError, partial(read_command, key_, value, [*envelope(kind.name), *extra]))
        read_or(UnreadableError, partial(read_event, key_, value, [*envelope(EVENT_TYPES[0].kafka), *extra]))


def test_replies() -> None:
    good = {"command_id": str(uuid4()), "outcome": {"status": 201, "body": {"id": "x"}}, "position": 4}
    Reply.model_validate_json(json.dumps(good))
    for value in twisted(good):
        read_or(ValidationError, partial(Reply.model_validate_json, value))


def test_dead_letters_and_decisions_on_them() -> None:
    good = example_of(DeadLetterDecision)
    DeadLetterDecision.model_validate_json(json.dumps(good))
    for value in twisted(good):
        read_or(ValidationError, partial(DeadLetterDecision.model_validate_json, value))
    where = {"dlq_topic": b"t", "dlq_partition": b"1", "dlq_offset": b"2"}
    assert Origin.read(where) == Origin(topic="t", partition=1, offset=2)
    for name in where:
        for fragment in FRAGMENTS:
            read_or(UnreadableError, partial(Origin.read, where | {name: fragment}))
    assert Origin.parse("t/1/2") == Origin.read(where)


@given(texts)
def test_the_name_of_a_dead_letter(text: str) -> None:
    read_or(ValueError, lambda: Origin.parse(text))


# --- the gateway ------------------------------------------------------------------------------------------------------


def request_of(raw: bytes = b"", *, query: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/x",
        "query_string": query,
        "headers": [(b"content-type", b"application/json"), *headers],
        "path_params": {},
    }
    return Request(scope, receive)


BODIES = {operation.body.model: operation.body.example for operation in OPERATIONS if operation.body is not None}
QUERIES = list(dict.fromkeys(operation.query for operation in OPERATIONS if operation.query is not None))
ODD = (b"%00", b"%ff", b"%", b"+", b"1", b"-1", b"9" * 30, TIME.encode(), b"%ED%A0%80", b"=", b"&")


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
async def test_bodies(model: type[Asked]) -> None:
    good = BODIES[model]
    await bodies.read(request_of(json.dumps(good).encode()), model)
    for raw in twisted(good):
        await read_or_refuse(bodies.read(request_of(raw), model), {"invalid-request", "payload-too-large"})


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.__name__)
@given(data=st.data())
def test_queries(query: type[Asked], data: st.DataObject) -> None:
    names = [field.alias or name for name, field in query.model_fields.items()]
    pieces = st.sampled_from(ODD)
    written = b"&".join(
        data.draw(st.sampled_from(names)).encode() + b"=" + b"".join(data.draw(st.lists(pieces, max_size=3)))
        for _ in range(data.draw(st.integers(0, 4)))
    )
    request = request_of(query=written)
    if read_or(ProblemError, lambda: queries.read(request, query)):
        queries.inquiry(request, "/v1/x", queries.read(request, query))


@given(st.lists(st.binary(max_size=60) | mutated(b'W/"1", "2", *'), max_size=3))
def test_headers_of_requests(values: list[bytes]) -> None:
    for name in (b"if-match", b"min-position", b"idempotency-key", b"prefer", b"authorization"):
        request = request_of(headers=[(name, value) for value in values])
        for read in (conditions.if_match, conditions.min_position, conditions.idempotency_key):
            read_or(ProblemError, partial(read, request))
        stated = [value.decode("latin-1") for value in values]
        patience(stated, default=1.0, longest=2.0)
        front.accepts_json(",".join(stated))
        read_or(ProblemError, partial(bearer_token, stated))


@given(texts)
def test_ids_in_paths(text: str) -> None:
    request = request_of()
    request.scope["path_params"] = {"id": text}
    read_or(ProblemError, lambda: conditions.path_id(request))


@given(texts | texts.map(lambda text: f"booking-{text}"[:48]))
def test_command_ids(text: str) -> None:
    ids = CommandIds(bytes(32))
    assert ids.read(text, TENANT) is None
    good = ids.write(uuid4(), TENANT, "booking")
    assert ids.read(good, TENANT) is not None
    assert ids.read(good[:20] + text + good[20:], TENANT) is None or not text
    assert ids.read(good, uuid4()) is None


DATA_OF = {
    **dict.fromkeys(ORGANIZATION_TYPES, clerk.organization("acme", updated_at=1, deleted=True)),
    **dict.fromkeys(MEMBERSHIP_TYPES, clerk.membership("acme", "ben", created_at=1, updated_at=1)),
    **dict.fromkeys(INVITATION_TYPES, clerk.invitation("acme", "ben", status="pending", updated_at=1)),
    **dict.fromkeys(USER_TYPES, clerk.user("ben", updated_at=1)),
}


WEBHOOK = CallOrigin(channel="webhook")


@pytest.mark.parametrize("kind", [*DATA_OF, "user.praised"])
async def test_webhooks(kind: str) -> None:
    lines = FakeKafka()
    desk = Desk(lines, lines, CommandIds(bytes(32)))
    keyring = FakeKeyring(AesVault({"k": bytes(32)}))
    tidings = Tidings(Facts(TENANT, names=True), keyring, desk, wait_seconds=1.0)

    async def take(raw: bytes) -> None:
        await tidings.take("msg_1", bodies.parse_object(raw), datetime(2027, 5, 8, tzinfo=UTC), WEBHOOK)

    for good in (
        {"object": "event", "type": kind, "timestamp": 1, "data": DATA_OF.get(kind, {})},
        {"object": "event", "type": kind, "data": DATA_OF.get(kind, {})},
    ):
        await take(json.dumps(good).encode())
        for raw in twisted(good):
            await read_or_refuse(take(raw), {"invalid-request"})


# --- cursors ----------------------------------------------------------------------------------------------------------

AS_IT_WAS = PastList(as_of=datetime(2027, 5, 8, tzinfo=UTC), filters=Filters())
CURSORS: dict[str, tuple[Callable[[str], object], list[object]]] = {
    "bookings": (booking_cursors.read, [TIME, str(uuid4())]),
    "bookings as they were": (AS_IT_WAS.read, [TIME, str(uuid4()), 1, 1, AS_IT_WAS._digest()]),
    "artists": (tenancy_http._read_cursor, [TIME, str(uuid4())]),
}


@pytest.mark.parametrize("listed", CURSORS)
def test_cursors_with_anything_in_them(listed: str) -> None:
    read, good = CURSORS[listed]
    for raw in twisted(good):
        for cursor in (base64.urlsafe_b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")):
            read_or(ProblemError, partial(read, cursor))


@pytest.mark.parametrize("listed", CURSORS)
@given(cursor=texts)
def test_cursors(listed: str, cursor: str) -> None:
    read_or(ProblemError, lambda: CURSORS[listed][0](cursor))


# --- tokens and sockets -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verifier() -> TokenVerifier:
    """One whose issuer is not asked: what it accepts would need a key."""
    return TokenVerifier([IssuerSettings(issuer="http://i", jwks_url="http://127.0.0.1:1", namespace=TENANT)])


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


async def test_tokens_of_fragments(verifier: TokenVerifier) -> None:
    header = {"alg": "RS256", "kid": "k", "typ": "JWT"}
    claims = {"iss": "http://elsewhere", "sub": "s", "exp": 1, "iat": 1, "o": {"id": "o", "rol": "admin"}}
    texts_ = [(b64(raw), b64(json.dumps(claims).encode())) for raw in twisted(header)]
    texts_ += [(b64(json.dumps(header).encode()), b64(raw)) for raw in twisted(claims)]
    for first, second in texts_:
        with pytest.raises(ProblemError) as caught:
            await verifier.verify(b".".join((first, second, b"AAAA")).decode())
        assert caught.value.kind.slug == "unauthenticated"


@given(text=texts | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
async def test_tokens(verifier: TokenVerifier, text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        await verifier.verify(text)
    assert caught.value.kind.slug == "unauthenticated"


def test_keys_of_an_issuer() -> None:
    good = {"keys": [{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "n": "AQAB" * 90, "e": "AQAB"}]}
    assert keys._read_keys(json.dumps(good).encode()).keys() == {"k"}
    for raw in twisted(good):
        read_or((ValueError, RecursionError), partial(keys._read_keys, raw))


class NoOwners:
    """Nobody gets so far as to need them."""

    async def heads(self, token: str) -> dict[str, Head]:
        raise AssertionError(token)

    async def after(self, stream: str, position: int, token: str) -> list[LiveEvent]:
        raise AssertionError(stream, position, token)


PRINCIPAL = Principal(sub="user_ana", tenant_id=TENANT, org_id="o", role=Role.ADMIN, iat=0, exp=1, issuer="i", token="")


def sent_by_sockets() -> Iterator[Any]:
    """What a socket may send: what JSON parsers make of the fragments, in each place of an `auth`."""
    good = {"token": "a.b.c", "after": {"booking": 1, "tenancy": 2}, "epoch": "e"}
    for raw in twisted(good):
        try:
            yield json.loads(raw)
        except (ValueError, RecursionError):
            continue


async def test_what_sockets_send(verifier: TokenVerifier) -> None:
    door = Door(verifier, NoOwners(), furthest=10)
    for sent in sent_by_sockets():
        for say in (door.admit(sent), door.renew(PRINCIPAL, sent)):
            with pytest.raises(ProblemError) as caught:
                await say
            assert caught.value.kind.slug in {"invalid-request", "unauthenticated"}
            json.dumps(caught.value.body)


@given(sent=objects | st.fixed_dictionaries({"token": objects}, optional={"after": objects, "epoch": objects}))
async def test_whatever_sockets_send(verifier: TokenVerifier, sent: object) -> None:
    door = Door(verifier, NoOwners(), furthest=10)
    for say in (door.admit(sent), door.renew(PRINCIPAL, sent)):
        with pytest.raises(ProblemError):
            await say
