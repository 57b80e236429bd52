"""The page of problems: every slug, when it comes, and what to do then."""

from dataclasses import dataclass
from typing import Final

from gateway.entrypoints.openapi.examples import PROBLEMS
from pages.markdown import block, code, table
from production_contracts.problems import MEDIA_TYPE, PROBLEM_TYPES, ProblemType

_HEAD: Final = f"""\
# Problems

Every error is a problem of RFC 9457, `{MEDIA_TYPE}`, with `type`, `title`, `status` and `detail`. Decide by `type`,
show `detail` to people, parse neither `title` nor `detail`. On sockets, a refused connection is a `connect_error` whose
message is the slug and whose data is the problem.

Another tenant's id and an id that does not exist give the same answer.

"""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """When a problem comes, what to do then, and whether the same request may be sent again as it is."""

    when: str
    todo: str
    again: str = "no"


ADVICE: Final[dict[str, Advice]] = {
    "unauthenticated": Advice(
        when=(
            "There is no token, or it is expired, not valid yet, malformed, not signed by an accepted issuer, issued to"
            " a party that is not accepted, or lives longer than a token may."
        ),
        todo="Get a new token and send the request again. If that fails too, let the user sign in.",
        again="with a new token",
    ),
    "forbidden": Advice(
        when=(
            "The token names no active organisation or a role that is not known, the role lacks the permission, the"
            " member was removed, or the organisation is deleted."
        ),
        todo=(
            "Do not repeat it. Show that the user may not do this; with no active organisation, let the user choose"
            " one. This answer is not remembered for an idempotency key."
        ),
    ),
    "not-found": Advice(
        when=(
            "Nothing is at this path, or nothing that this tenant has. A booking for an artist that is not there is"
            " `not-found` too."
        ),
        todo="Drop what you hold under this id, and read the list again.",
    ),
    "method-not-allowed": Advice(
        when="The path is there, the method is not. `Allow` names those that are.", todo="Mend the client."
    ),
    "not-acceptable": Advice(
        when="`Accept` lets no JSON through.", todo="Send `Accept: application/json`, or no `Accept` at all."
    ),
    "booking-conflict": Advice(
        when=(
            "An active booking of the artist overlaps the time asked for. `conflicts` names those in the way,"
            " `next_free` when it would work: up to three windows of the asked length within 90 days. They are an"
            " offer, not a hold."
        ),
        todo=(
            "Show both and let the user choose. To book another time, send a new request with a new idempotency key:"
            " the old key keeps this answer."
        ),
    ),
    "invalid-transition": Advice(
        when="A cancelled booking was to be confirmed, amended or rescheduled.",
        todo="Read the booking again. Make a new one instead.",
    ),
    "artist-archived": Advice(
        when="A new booking for an archived artist, or a change to one.",
        todo="Choose another artist. Bookings that the artist has stay, and can be changed.",
    ),
    "version-mismatch": Advice(
        when="`If-Match` names another version than the booking or artist has: somebody was faster.",
        todo="Read it again, show what has changed, and ask whether the user still wants the change.",
        again="with the new version",
    ),
    "payload-too-large": Advice(when="The body is too large; see [Limits](limits.md).", todo="Send less."),
    "unsupported-media-type": Advice(
        when="The body is not JSON in UTF-8 without a content encoding.",
        todo=(
            "Send `Content-Type: application/json`; with `PATCH` also `application/merge-patch+json`, which the header"
            " `Accept-Patch` says too."
        ),
    ),
    "invalid-request": Advice(
        when=(
            "The request is not as the contract asks. `errors` names each place as a JSON pointer in a URI fragment"
            " (`#/title`, `#/query/limit`, `#/header/if-match`) and what is wrong there."
        ),
        todo="Show each `detail` at the field that its `pointer` names.",
    ),
    "idempotency-key-reused": Advice(
        when="The same `Idempotency-Key` came with another request (method, path, body or `If-Match`).",
        todo="Make a new key for each new intention of the user; keep it for repeats of that one only.",
        again="with a new key",
    ),
    "rate-limited": Advice(
        when="A user or a tenant has sent too many requests in this window. `RateLimit` says which.",
        todo="Wait the seconds of `Retry-After`.",
        again="yes, later",
    ),
    "headers-too-large": Advice(
        when="Request line and headers together are too large; see [Limits](limits.md).",
        todo="Send fewer or shorter headers. A long cookie is the usual cause; none is needed here.",
    ),
    "internal": Advice(
        when="A fault of ours. It is logged.",
        todo="Repeat it with the same idempotency key. Report it if it stays.",
        again="yes, with the same key",
    ),
    "unavailable": Advice(
        when=(
            "Something that is needed is away for the moment, or `Min-Position` was not reached in time. With"
            " `command_id`, the command may have been published and may yet be decided; without it, nothing was done."
        ),
        todo=(
            "With `command_id`: ask `GET /v1/commands/{command_id}` until it is decided. Without: wait the seconds of"
            " `Retry-After` and repeat. With an idempotency key a repeat is safe in both cases. This answer is not"
            " remembered for the key."
        ),
        again="yes, with the same key",
    ),
    "expired": Advice(
        when="The command was not decided by the time it was good for. It says for certain that nothing happened.",
        todo="Send it again with a new idempotency key: the old one keeps this answer.",
        again="with a new key",
    ),
}


def page() -> str:
    """Make the page."""
    rows = (
        (f"[{slug}](#{slug})", str(kind.status), kind.title, ADVICE[slug].again) for slug, kind in PROBLEM_TYPES.items()
    )
    index = table(("slug", "status", "title", "send the same again?"), rows)
    return "\n".join((_HEAD + index, *(_section(kind) for kind in PROBLEM_TYPES.values())))


def _section(kind: ProblemType) -> str:
    advice = ADVICE[kind.slug]
    told = (
        f"## {kind.slug}\n\n{code(kind.uri)}, status {kind.status}.\n\n{advice.when}\n\n**What to do.** {advice.todo}\n"
    )
    return told + ("\n" + block(PROBLEMS[kind.slug]) if kind.slug in PROBLEMS else "")
