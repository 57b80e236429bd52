"""What Kafka's administration needs beyond aiokafka's client: ACLs, and users with SCRAM credentials.

The numbers are those of Kafka's protocol: https://kafka.apache.org/protocol (DescribeAcls 29, CreateAcls 30,
DeleteAcls 31, AlterUserScramCredentials 51); a salted password is made as RFC 5802 says, so that none travels.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from production_contracts.principals import ANY, Principal

_ALLOW: Final = 3
_ANY_HOST: Final = "*"
_MATCH_ANY: Final = 1
_SCRAM_SHA_512: Final = 2
ITERATIONS: Final = 8192
"""Twice what Kafka asks for at least; a password of ours is random, not thought up."""


class Resource(IntEnum):
    """What an ACL is about."""

    TOPIC = 2
    GROUP = 3
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What an ACL allows; reading and writing allow to describe."""

    READ = 3
    WRITE = 4


class Pattern(IntEnum):
    """How an ACL names what it is about."""

    LITERAL = 3
    PREFIXED = 4


@dataclass(frozen=True, kw_only=True)
class Acl:
    """One thing that a principal is allowed, from wherever it comes."""

    principal: str
    resource: int
    name: str
    pattern: int
    operation: int
    host: str = _ANY_HOST
    permission: int = _ALLOW

    def words(self) -> tuple[int, str, int, str, str, int, int]:
        """Give it in the order of the protocol."""
        return (self.resource, self.name, self.pattern, self.principal, self.host, self.operation, self.permission)


def acls_of(principal: Principal) -> Iterator[Acl]:
    """Give the ACLs that allow a principal what its row says, and no more."""
    rights = (
        (Resource.TOPIC, Operation.READ, principal.reads),
        (Resource.TOPIC, Operation.WRITE, principal.writes),
        (Resource.GROUP, Operation.READ, principal.groups),
        (Resource.TRANSACTIONAL_ID, Operation.WRITE, principal.transactions),
    )
    for resource, operation, names in rights:
        for name in names:
            yield Acl(
                principal=f"User:{principal.name}",
                resource=resource,
                name=name.removesuffix(ANY),
                pattern=Pattern.PREFIXED if name.endswith(ANY) else Pattern.LITERAL,
                operation=operation,
            )


async def read_acls(admin: AIOKafkaAdminClient) -> set[Acl]:
    """Read every ACL that is in force.

    Raises:
        KafkaError: Kafka said no.
    """
    anything: Any = None
    answer = await _ask(
        admin, DescribeAclsRequest(_MATCH_ANY, anything, _MATCH_ANY, anything, anything, _MATCH_ANY, _MATCH_ANY)
    )
    _hold(answer.error_code, answer.error_message)
    return {
        Acl(
            resource=resource,
            name=name,
            pattern=pattern,
            principal=principal,
            host=host,
            operation=operation,
            permission=permission,
        )
        for resource, name, pattern, acls in answer.resources
        for principal, host, operation, permission in acls
    }


async def create_acls(admin: AIOKafkaAdminClient, acls: Collection[Acl]) -> None:
    """Write ACLs; one that is there is left.

    Raises:
        KafkaError: Kafka said no.
    """
    for acl in acls:
        answer = await _ask(admin, CreateAclsRequest(*acl.words()))
        for code, message in answer.creation_responses:
            _hold(code, message)


async def delete_acls(admin: AIOKafkaAdminClient, acls: Collection[Acl]) -> None:
    """Take ACLs away.

    Raises:
        KafkaError: Kafka said no.
    """
    for acl in acls:
        answer = await _ask(admin, DeleteAclsRequest(*acl.words()))
        for code, message, _matching in answer.filter_responses:
            _hold(code, message)


async def put_users(admin: AIOKafkaAdminClient, passwords: Mapping[str, str]) -> None:
    """Let these users log in with these passwords (SCRAM-SHA-512), and with no older ones.

    Raises:
        KafkaError: Kafka said no.
    """
    answer = await _ask(admin, _AlterUserScramCredentials(passwords))
    for user, code, message, _tags in answer.results:
        _hold(code, f"{user}: {message}")


async def _ask(admin: AIOKafkaAdminClient, request: "Request[Any]") -> Any:  # noqa: ANN401 - aiokafka ships no types
    return await admin._send_to_controller(request)  # noqa: SLF001 - the door to what it has no method for


def _hold(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message)


class _AlterUserScramCredentialsResponse(Response):  # type: ignore[misc] # aiokafka ships no types
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString()),
                ("error_code", Int16),
                ("error_message", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterUserScramCredentialsV0(RequestStruct):  # type: ignore[misc] # the same
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterUserScramCredentialsResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString()), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString()),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterUserScramCredentials(Request[_AlterUserScramCredentialsV0]):  # type: ignore[misc] # the same
    API_KEY = 51

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._upsertions: list[tuple[Any, ...]] = [
            (user, *_salted(password), {}) for user, password in passwords.items()
        ]

    def build(self, request_struct_class: type[_AlterUserScramCredentialsV0]) -> _AlterUserScramCredentialsV0:
        return request_struct_class([], self._upsertions, {})


def _salted(password: str) -> tuple[int, int, bytes, bytes]:
    salt = secrets.token_bytes(32)
    return _SCRAM_SHA_512, ITERATIONS, salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
