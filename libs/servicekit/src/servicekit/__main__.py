"""``python -m servicekit``: provision Kafka with topics and rights, write Redis' file of users, begin a migration."""

import argparse
import asyncio
import sys
from collections.abc import Callable

from servicekit.migrate import make_revision
from servicekit.principals import UnknownPrincipalError, provision_principals
from servicekit.redis_users import UnknownUserError, acl_file
from servicekit.secrets import load
from servicekit.settings import ProvisioningSettings, RedisUsersSettings
from servicekit.topics import TopicsDifferError, create_topics


async def _create_topics(settings: ProvisioningSettings) -> None:
    made = await create_topics(
        settings.kafka, partitions=settings.kafka_partitions, replication=settings.kafka_replication
    )
    print(f"topics: {len(made)} created" if made else "topics: all there")


async def _provision_principals(settings: ProvisioningSettings) -> None:
    written, removed = await provision_principals(settings.kafka, settings.passwords)
    print(f"principals: {written} rights given, {removed} taken away, {len(settings.passwords)} passwords set")


def _provision(asked: argparse.Namespace) -> int:
    settings = load(ProvisioningSettings)

    async def run() -> None:
        await _create_topics(settings)
        if not asked.topics_only:
            await _provision_principals(settings)

    try:
        asyncio.run(run())
    except (TopicsDifferError, UnknownPrincipalError) as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"provision: Kafka did not answer at {settings.kafka_bootstrap}: is it running?", file=sys.stderr)
        return 1
    return 0


def _redis_users(_asked: argparse.Namespace) -> int:
    try:
        print(acl_file(load(RedisUsersSettings).passwords), end="")
    except UnknownUserError as error:
        print(f"redis-users: {error}", file=sys.stderr)
        return 1
    return 0


def _migration(asked: argparse.Namespace) -> int:
    print(f"migration: {make_revision(asked.service, asked.message)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m servicekit", description=__doc__)
    todo = parser.add_subparsers(required=True, metavar="job")
    provision = todo.add_parser("provision", help="create the topics that are missing; give each principal its rights")
    provision.add_argument("--topics-only", action="store_true", help="rights and users are managed elsewhere")
    provision.set_defaults(job=_provision)
    users = todo.add_parser("redis-users", help="print the file of users that Redis is started with (aclfile)")
    users.set_defaults(job=_redis_users)
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
