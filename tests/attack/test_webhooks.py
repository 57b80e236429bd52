"""Webhooks that must not count, at the running gateway: each is told one clear problem, and nothing comes of it.

Each way in which a single header can be wrong is tried beside the gateway's source.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from standardwebhooks import Webhook

from local_stack import clerk
from local_stack.clerk import PATH, Clerk, Message
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until

ANOTHERS = "whsec_" + "YW5vdGhlcnM" + "x" * 21
Twist = Callable[[Clerk, Message], Message]


@pytest.fixture
def told(tenant: Tenant, session: aiohttp.ClientSession) -> Clerk:
    secret = tenant.at.engines.credentials.webhook_secret
    return Clerk(session=session, gateway_url=tenant.at.gateway_url, secret=secret)


def message(told: Clerk, tenant: Tenant) -> Message:
    return told.message("organizationMembership.created", clerk.membership(tenant.name, f"mallory-{tenant.name}"))


def with_headers(message: Message, **headers: str) -> Message:
    changed = {f"svix-{name}": value for name, value in headers.items()}
    return replace(message, headers={**message.headers, **changed})


def signed(message: Message, secret: str, at: datetime) -> str:
    return str(Webhook(secret).sign(message.id, at, message.body.decode()))


def at(told: Clerk, message: Message, moment: datetime) -> Message:
    """Sign it as of another moment, well."""
    signature = signed(message, told.secret, moment)
    return with_headers(message, timestamp=str(int(moment.timestamp())), signature=signature)


def now_of(message: Message) -> datetime:
    return datetime.fromtimestamp(int(message.headers["svix-timestamp"]), UTC)


def signature_of(message: Message) -> str:
    return message.headers["svix-signature"]


FORGERIES: dict[str, Twist] = {
    "no signature": lambda _, m: replace(m, headers={"Content-Type": "application/json"}),
    "another's secret": lambda _, m: with_headers(m, signature=signed(m, ANOTHERS, now_of(m))),
    "another body": lambda _, m: replace(m, body=m.body.replace(b"org:member", b"org:admin")),
    "another id": lambda _, m: with_headers(m, id="msg_another"),
    "a moment that was not signed": lambda _, m: with_headers(m, timestamp=str(int(time.time()) - 1)),
    "stale": lambda told, m: at(told, m, datetime.now(UTC) - timedelta(minutes=6)),
    "of tomorrow": lambda told, m: at(told, m, datetime.now(UTC) + timedelta(days=1)),
    "a version that we do not know": lambda _, m: with_headers(m, signature="v2," + signature_of(m).partition(",")[2]),
    "several signatures, all wrong": lambda _, m: with_headers(
        m, signature=" ".join(["v1,AAAA", signed(m, ANOTHERS, now_of(m)), "v1a," + signature_of(m)[3:]])
    ),
    "an asymmetric name on a true signature": lambda _, m: with_headers(m, signature="v1a," + signature_of(m)[3:]),
    "the signature in lower case": lambda _, m: with_headers(m, signature=signature_of(m).lower()),
}


async def answer(told: Clerk, message: Message) -> tuple[int, str, str | None]:
    async with told.session.post(told.gateway_url + PATH, data=message.body, headers=dict(message.headers)) as response:
        problem = await response.json(content_type=None) if response.status >= 400 else {"type": ""}
        return response.status, str(problem["type"]), response.headers.get("WWW-Authenticate")


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_it_is_refused_and_nothing_comes_of_it(forgery: str, told: Clerk, tenant: Tenant) -> None:
    twisted = FORGERIES[forgery](told, message(told, tenant))
    assert await answer(told, twisted) == (401, "/problems/unauthenticated", "Svix")
    assert await tenant.caller().every("/v1/members") == []
    assert await tenant.caller().events("tenancy") == []


async def test_one_good_signature_among_several_counts_as_while_a_secret_is_replaced(
    told: Clerk, tenant: Tenant
) -> None:
    good = message(told, tenant)
    several = " ".join(["v1,AAAA", signed(good, ANOTHERS, now_of(good)), signature_of(good)])
    assert (await answer(told, with_headers(good, signature=several)))[0] == 200
    assert len(await tenant.caller().every("/v1/members")) == 1


async def test_what_is_replayed_counts_once_also_at_the_same_time(told: Clerk, tenant: Tenant) -> None:
    good = message(told, tenant)
    answers = await asyncio.gather(*(answer(told, good) for _ in range(10)))
    assert {status for status, *_ in answers} <= {200, 202}

    async def decided() -> bool:
        return bool(await tenant.caller().every("/v1/members"))

    await until(decided, "the member is there")
    assert (await answer(told, good))[0] == 200
    events = await tenant.caller().events("tenancy")
    assert [event["type"] for event in events] == ["TenantCreated", "MemberAdded"]


async def test_a_removal_is_not_undone_by_a_replay_of_what_was_before(told: Clerk, tenant: Tenant) -> None:
    added = message(told, tenant)
    assert (await answer(told, added))[0] == 200
    gone = clerk.membership(tenant.name, f"mallory-{tenant.name}")
    assert await told.tell("organizationMembership.deleted", gone, at=time.time() + 1) == 200
    assert (await answer(told, added))[0] == 200
    again = at(told, replace(added, id="msg_again", headers={**added.headers, "svix-id": "msg_again"}), now_of(added))
    assert (await answer(told, again))[0] == 200, "signed anew under another id, it is as old as it says"
    assert await tenant.caller().every("/v1/members") == []
