"""``python -m servicekit``: create the topics of the contracts, begin a migration."""

import argparse
import asyncio
import sys
from collections.abc import Callable

from production_contracts.topics import PARTITIONS_LOCAL
from servicekit.migrate import make_revision
from servicekit.topics import TopicsDifferError, create_topics


def _topics(asked: argparse.Namespace) -> int:
    try:
        made = asyncio.run(create_topics(asked.bootstrap, partitions=asked.partitions, replication=asked.replication))
    except TopicsDifferError as error:
        print(f"topics: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"topics: Kafka did not answer at {asked.bootstrap}: is it running?", file=sys.stderr)
        return 1
    print(f"topics: {len(made)} created" if made else "topics: all there")
    return 0


def _migration(asked: argparse.Namespace) -> int:
    print(f"migration: {make_revision(asked.service, asked.message)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m servicekit", description=__doc__)
    todo = parser.add_subparsers(required=True, metavar="job")
    topics = todo.add_parser("topics", help="create the topics that are missing")
    topics.add_argument("--bootstrap", required=True, help="HOST:PORT of Kafka")
    topics.add_argument("--partitions", type=int, default=PARTITIONS_LOCAL, help="of each topic (default: %(default)s)")
    topics.add_argument("--replication", type=int, default=1, help="copies of each partition (default: %(default)s)")
    topics.set_defaults(job=_topics)
    migration = todo.add_parser("migration", help="begin a migration in a service's folder")
    migration.add_argument("service", choices=["booking", "tenancy"])
    migration.add_argument("message", help="what it does, in a few words")
    migration.set_defaults(job=_migration)
    return parser


def main() -> int:
    """Run the command line; 0 where it is done."""
    asked = _parser().parse_args()
    job: Callable[[argparse.Namespace], int] = asked.job
    return job(asked)


if __name__ == "__main__":
    sys.exit(main())
