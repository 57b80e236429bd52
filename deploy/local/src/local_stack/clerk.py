"""Clerk, as far as the local stack needs it: webhooks in its shapes, signed as Svix signs them.

``python -m local_stack.clerk organizationMembership.deleted --tenant acme --user ben`` sends one to the local gateway.
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from local_stack import checkout
from local_stack.credentials import Credentials
from local_stack.port import HOST, Ports

PATH = "/v1/webhooks/clerk"
ORGANIZATION_TYPES = ("organization.created", "organization.updated", "organization.deleted")
MEMBERSHIP_TYPES = (
    "organizationMembership.created",
    "organizationMembership.updated",
    "organizationMembership.deleted",
)
INVITATION_TYPES = (
    "organizationInvitation.created",
    "organizationInvitation.accepted",
    "organizationInvitation.revoked",
)
USER_TYPES = ("user.created", "user.updated", "user.deleted")


def organization(tenant: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make an organisation; its id is that of the local issuer's tokens."""
    return {"object": "organization", "id": f"org_{tenant}", "name": tenant.title(), "slug": tenant, **more}


def membership(tenant: str, user: str, role: str = "member", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make a membership."""
    return {
        "object": "organization_membership",
        "id": f"orgmem_{tenant}_{user}",
        "role": f"org:{role}",
        "organization": organization(tenant),
        "public_user_data": {
            "user_id": f"user_{user}",
            "first_name": user.title(),
            "last_name": None,
            "identifier": f"{user}@example.org",
        },
        **more,
    }


def invitation(tenant: str, user: str, role: str = "member", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make an invitation."""
    return {
        "object": "organization_invitation",
        "id": f"orginv_{tenant}_{user}",
        "organization_id": f"org_{tenant}",
        "email_address": f"{user}@example.org",
        "role": f"org:{role}",
        **more,
    }


def user(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make a user."""
    return {
        "object": "user",
        "id": f"user_{name}",
        "first_name": name.title(),
        "last_name": None,
        "primary_email_address_id": "idn_1",
        "email_addresses": [{"id": "idn_1", "email_address": f"{name}@example.org"}],
        **more,
    }


@dataclass(frozen=True, kw_only=True)
class Message:
    """A webhook ready to be sent; sent twice it is the same message."""

    id: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Clerk:
    """Sends webhooks to a gateway."""

    session: aiohttp.ClientSession
    gateway_url: str
    secret: str

    def message(self, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> Message:
        """Sign what happened at a time (seconds since 1970; now unless told otherwise)."""
        moment = time.time() if at is None else at
        told = {"object": "event", "type": kind, "timestamp": int(moment * 1000), "data": data}
        body, message_id, signed_at = json.dumps(told).encode(), f"msg_{uuid.uuid4().hex}", datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "svix-id": message_id,
            "svix-timestamp": str(int(signed_at.timestamp())),
            "svix-signature": Webhook(self.secret).sign(message_id, signed_at, body.decode()),
        }
        return Message(id=message_id, body=body, headers=headers)

    async def deliver(self, message: Message) -> int:
        """Send a message; gives the status of the answer."""
        async with self.session.post(
            self.gateway_url + PATH, data=message.body, headers=dict(message.headers)
        ) as response:
            await response.read()
            return response.status

    async def tell(self, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> int:
        """Tell what happened; gives the status of the answer."""
        return await self.deliver(self.message(kind, data, at=at))


COMPOSE_SECRET = "whsec_bG9jYWwtc3RhY2stb25seS13ZWJob29r"  # noqa: S105 - good for nothing but the local containers
"""The secret of the stack in containers, as `docker-compose.yml` states it."""


async def local_clerk(session: aiohttp.ClientSession, gateway_url: str, secret: str | None = None) -> Clerk:
    """Be the Clerk of the local stack, native or in containers: the one whose signature its gateway accepts.

    With a ``secret`` that one counts, unasked.

    Raises:
        PermissionError: it accepts neither.
    """
    if secret is not None:
        return Clerk(session=session, gateway_url=gateway_url, secret=secret)
    native = checkout.DATA / "credentials.json"
    secrets = [Credentials.kept_in(native).webhook_secret] if native.exists() else []
    for known in (*secrets, COMPOSE_SECRET):
        clerk = Clerk(session=session, gateway_url=gateway_url, secret=known)
        if await clerk.tell("local.ping", {}) == HTTPStatus.OK:
            return clerk
    message = f"the gateway at {gateway_url} accepts no webhook signed with a secret of this checkout"
    raise PermissionError(message)


def _data(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.kind in ORGANIZATION_TYPES:
        return organization(arguments.tenant)
    if arguments.kind in MEMBERSHIP_TYPES:
        return membership(arguments.tenant, arguments.user, arguments.role)
    if arguments.kind in INVITATION_TYPES:
        return invitation(arguments.tenant, arguments.user, arguments.role)
    return user(arguments.user)


async def _send(arguments: argparse.Namespace) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        clerk = await local_clerk(session, arguments.gateway)
        return await clerk.tell(arguments.kind, _data(arguments))


def main() -> int:
    """Send one webhook; 0 when it was taken."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.clerk", description="Tell the local gateway as Clerk.")
    kinds = (*ORGANIZATION_TYPES, *MEMBERSHIP_TYPES, *INVITATION_TYPES, *USER_TYPES)
    parser.add_argument("kind", choices=kinds, metavar="kind", help=", ".join(kinds))
    parser.add_argument("--tenant", default="acme")
    parser.add_argument("--user", default="ana")
    parser.add_argument("--role", default="member")
    parser.add_argument("--gateway", default=f"http://{HOST}:{Ports.from_environment().gateway}")
    arguments = parser.parse_args()
    status = asyncio.run(_send(arguments))
    sys.stdout.write(f"{arguments.kind}: {status}\n")
    return 0 if status in {HTTPStatus.OK, HTTPStatus.ACCEPTED} else 1


if __name__ == "__main__":
    sys.exit(main())
