"""The command line of the tool: ``deadletters list | show | redrive | discard``."""

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed

from production_contracts.dead_letters import Origin
from production_contracts.topics import LARGEST_MESSAGE, Topic
from servicekit.access import KafkaAccess
from servicekit.deadletters.decisions import DecisionDesk, RefusedError, Reject, find
from servicekit.deadletters.letters import Connection, Letter, LetterBook

JOB = "deadletters"
HELP = "look at what could not be handled, send it again, or give it up"


class ToolSettings(Protocol):
    """What the tool needs of a service's settings."""

    @property
    def kafka(self) -> KafkaAccess: ...  # noqa: D102 - as in `settings.KafkaSettings`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command line takes."""
    todo = parser.add_subparsers(dest="action", required=True, metavar="action")
    listing = todo.add_parser("list", help="those undecided, in the order in which they stood")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing = todo.add_parser("show", help="one letter whole, as JSON; what is sealed stays sealed")
    showing.add_argument("origins", nargs=1, type=Origin.parse, metavar="TOPIC/PARTITION/OFFSET")
    redriving = todo.add_parser("redrive", help="send letters again to where they stood, once, in order")
    redriving.add_argument(
        "--value", type=Path, metavar="FILE", help="send one command with this value, mended, in place of its own"
    )
    discarding = todo.add_parser(
        "discard", help="give letters up; a command is rejected, and its caller told `expired`"
    )
    for deciding in (redriving, discarding):
        deciding.add_argument("origins", nargs="*", type=Origin.parse, metavar="TOPIC/PARTITION/OFFSET")
        deciding.add_argument("--all", action="store_true", help="all that --topic, --tenant and --reason leave")
        deciding.add_argument("--operator", required=True, help="who decides: it goes on the record, for ever")
    for choosing in (listing, redriving, discarding):
        choosing.add_argument("--topic", help="only of this topic")
        choosing.add_argument("--tenant", help="only of this tenant (the key)")
        choosing.add_argument("--reason", help="only where the reason contains this")


def run(
    asked: argparse.Namespace,
    settings: ToolSettings,
    *,
    service: str,
    topics: Sequence[Topic],
    reject: Reject | None = None,
) -> int:
    """Do what the command line asks; 0 where it is done, 1 where it was refused or Kafka did not answer."""
    try:
        return asyncio.run(
            _do(asked, _connection(settings, service), service, [topic.name for topic in topics], reject)
        )
    except RefusedError as error:
        print(f"{JOB}: {error}", file=sys.stderr)
    except (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed) as error:
        print(f"{JOB}: Kafka does not let {settings.kafka.username} do this: {error!r}", file=sys.stderr)
        print(f"  what to do: come as {service}-{JOB}, the tool's own principal (`KAFKA_USERNAME`)", file=sys.stderr)
    except (KafkaError, OSError, TimeoutError) as error:
        print(f"{JOB}: {settings.kafka.bootstrap} or the database did not do it: {error!r}", file=sys.stderr)
        print(f"  what to do: look at both, then `{JOB} list`: what is in it is undecided", file=sys.stderr)
    return 1


def _connection(settings: ToolSettings, service: str) -> Connection:
    return {**settings.kafka.options(), "client_id": f"{service}-{JOB}"}


async def _do(
    asked: argparse.Namespace, connection: Connection, service: str, topics: Collection[str], reject: Reject | None
) -> int:
    if asked.action in {"list", "show"}:
        book = await LetterBook.read(connection, topics)
        if asked.action == "show":
            (letter,) = find(book, asked.origins)
            print(json.dumps(_shown(letter) | _content(letter), indent=2, ensure_ascii=False))
        else:
            for line in _listed(_matching(book.open, asked), as_json=asked.json):
                print(line)
        return 0
    desk = DecisionDesk(connection, service=service, operator=asked.operator, topics=topics, tell=print)
    choose = _chooser(asked)
    if asked.action == "redrive":
        count = await desk.redrive(choose, None if asked.value is None else _mended(asked))
    else:
        count = await desk.discard(choose, reject)
    print(f"{count} {'redriven' if asked.action == 'redrive' else 'discarded'}")
    return 0


def _chooser(asked: argparse.Namespace) -> Any:  # noqa: ANN401 - decisions.Choose
    """Make what chooses the letters: named ones, or with ``--all`` those that the filters leave."""
    if bool(asked.origins) == asked.all:
        message = "name the letters, or all of them with --all (and filters)"
        raise RefusedError(message)
    return lambda book: find(book, asked.origins) if asked.origins else _matching(book.open, asked)


def _mended(asked: argparse.Namespace) -> bytes:
    if len(asked.origins) != 1:
        message = "--value mends one letter: name it"
        raise RefusedError(message)
    value: bytes = asked.value.read_bytes()
    if len(value) > LARGEST_MESSAGE:
        message = f"{asked.value} has {len(value)} bytes, more than the {LARGEST_MESSAGE} that are read"
        raise RefusedError(message)
    return value


def _matching(letters: Sequence[Letter], asked: argparse.Namespace) -> list[Letter]:
    return [
        letter
        for letter in letters
        if asked.topic in {None, letter.origin.topic}
        and asked.tenant in {None, letter.tenant}
        and (asked.reason or "") in letter.reason
    ]


def _shown(letter: Letter) -> dict[str, Any]:
    return {
        "origin": str(letter.origin),
        "put_aside_at": letter.put_aside_at,
        "by": sorted(letter.services),
        "times": letter.times,
        "reason": letter.reason,
        "tenant": letter.tenant,
        "type": letter.header("ce_type"),
        "id": letter.header("ce_id"),
    }


def _content(letter: Letter) -> dict[str, Any]:
    headers = [[name, value.decode(errors="backslashreplace")] for name, value in letter.headers]
    try:
        return {"headers": headers, "value": json.loads(letter.value)}
    except (ValueError, RecursionError):
        return {"headers": headers, "value_base64": base64.b64encode(letter.value).decode()}


def _listed(letters: Sequence[Letter], *, as_json: bool) -> Iterator[str]:
    if as_json:
        yield from (json.dumps(_shown(letter), ensure_ascii=False) for letter in letters)
        return
    for letter in letters:
        yield f"{letter.origin}  {letter.put_aside_at}  {letter.header('ce_type')}  tenant {letter.tenant}"
        yield f"    {letter.reason}"
    yield f"{len(letters)} undecided"
