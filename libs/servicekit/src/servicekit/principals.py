"""The one job that says who may do what on Kafka, from the table of the contracts."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from production_contracts.principals import PRINCIPALS
from servicekit.access import KafkaAccess
from servicekit.acls import Acl, acls_of, create_acls, delete_acls, put_users, read_acls
from servicekit.topics import DEADLINE_S, connect

WANTED: Final = frozenset(acl for principal in PRINCIPALS for acl in acls_of(principal))
_OURS: Final = frozenset(f"User:{principal.name}" for principal in PRINCIPALS)
_POLL_S: Final = 0.05

log = structlog.get_logger(__name__)


class UnknownPrincipalError(Exception):
    """A password is given for a name that is not in the table."""


async def provision_principals(kafka: KafkaAccess | str, passwords: Mapping[str, str]) -> tuple[int, int]:
    """Let the principals do what the table says and no more, and log in with these passwords, once this returns.

    Principals that are not in the table, and users without a password here, are left as they are.

    Returns:
        How many ACLs were written, and how many taken away.

    Raises:
        UnknownPrincipalError: a password is for nobody in the table; nothing was done.
        KafkaError: Kafka said no; it says SECURITY_DISABLED where it has no authorizer.
        TimeoutError: Kafka did not answer, or the ACLs were not in force, within a minute.
    """
    unknown = passwords.keys() - {principal.name for principal in PRINCIPALS}
    if unknown:
        message = f"not in production_contracts.principals: {', '.join(sorted(unknown))}"
        raise UnknownPrincipalError(message)
    async with asyncio.timeout(DEADLINE_S):
        admin = await connect(kafka)
        try:
            present = _ours(await read_acls(admin))
            missing, surplus = WANTED - present, present - WANTED
            await create_acls(admin, missing)
            await delete_acls(admin, surplus)
            if passwords:
                await put_users(admin, passwords)
            await _in_force(admin)
        finally:
            await admin.close()
    for acl in surplus:
        log.warning("acl_removed", principal=acl.principal, name=acl.name, operation=acl.operation)
    return len(missing), len(surplus)


async def _in_force(admin: AIOKafkaAdminClient) -> None:
    """Wait until the broker knows what was written: it learns of it a moment later."""
    while True:
        if _ours(await read_acls(admin)) == WANTED:
            return
        await asyncio.sleep(_POLL_S)


def _ours(acls: set[Acl]) -> set[Acl]:
    return {acl for acl in acls if acl.principal in _OURS}
