"""``python -m servicekit topics``: create the topics of the contracts."""

import argparse
import asyncio
import sys

from production_contracts.topics import PARTITIONS_LOCAL
from servicekit.topics import TopicsDifferError, create_topics


def main() -> int:
    """Run the command line; 0 where all topics are there afterwards."""
    parser = argparse.ArgumentParser(prog="python -m servicekit", description=__doc__)
    topics = parser.add_subparsers(required=True).add_parser("topics", help="create the topics that are missing")
    topics.add_argument("--bootstrap", required=True, help="HOST:PORT of Kafka")
    topics.add_argument("--partitions", type=int, default=PARTITIONS_LOCAL, help="of each topic (default: %(default)s)")
    topics.add_argument("--replication", type=int, default=1, help="copies of each partition (default: %(default)s)")
    asked = parser.parse_args()
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


if __name__ == "__main__":
    sys.exit(main())
