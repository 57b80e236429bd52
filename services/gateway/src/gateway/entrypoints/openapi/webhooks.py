"""The webhook in the document: it is no operation of a client, so nearly nothing of theirs holds for it."""

from typing import Any, Final

from gateway.entrypoints.openapi import examples
from production_contracts import problems
from production_contracts.problems import Problem, ProblemType

PATH: Final = "/v1/webhooks/clerk"
_REFUSALS: Final = (
    problems.UNAUTHENTICATED,
    problems.NOT_FOUND,
    problems.NOT_ACCEPTABLE,
    problems.PAYLOAD_TOO_LARGE,
    problems.INVALID_REQUEST,
    problems.HEADERS_TOO_LARGE,
    problems.INTERNAL,
    problems.UNAVAILABLE,
)
_HEADERS: Final = {
    "svix-id": ("Names the message; the same when it is sent again", "msg_2nQd1yUa5L"),
    "svix-timestamp": ("When it was signed, in seconds since 1970: at most five minutes ago", "1795425300"),
    "svix-signature": (
        "Signatures of `id.timestamp.body` (Standard Webhooks)",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
}


def webhook() -> dict[str, Any]:
    """Write the operation."""
    return {
        "operationId": "receiveClerkWebhook",
        "summary": "Receive what Clerk tells: organisations, memberships, invitations, users",
        "description": "Sent by Clerk, signed by Svix. A type that we do not know is accepted and nothing comes of it.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "example": example,
            }
            for name, (description, example) in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["type", "data"],
                        "properties": {"type": {"type": "string"}, "data": {"type": "object"}},
                    },
                    "example": examples.WEBHOOK,
                }
            },
        },
        "responses": {
            "200": {"description": "What it tells is on record"},
            "202": {"description": "It is taken for certain, and will be on record"},
            **{str(kind.status): _problem(kind) for kind in _REFUSALS},
        },
    }


def _problem(kind: ProblemType) -> dict[str, Any]:
    return {
        "description": kind.title,
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
                "examples": {kind.slug: {"value": examples.PROBLEMS[kind.slug]}},
            }
        },
    }
