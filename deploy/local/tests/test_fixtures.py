"""The fixtures that other members build on."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient

from local_stack.databases import Database
from local_stack.engines import Addresses


def test_the_superuser_reaches_postgresql(engines: Addresses) -> None:
    with psycopg.connect(engines.postgres_dsn()) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)


def listening_on(port: int) -> set[str]:
    """The addresses on which somebody listens on a port, as the kernel writes them: four bytes, the last one first."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    listening = "0A"
    found = (line[1].split(":") for line in lines if line[3] == listening)
    return {address[-8:] for address, number in found if int(number, 16) == port}


def test_the_engines_listen_on_loopback_alone(engines: Addresses) -> None:
    for port in (engines.postgres_port, engines.redis_port, engines.kafka_port):
        assert listening_on(port) == {"0100007F"}


def test_redis_answers(engines: Addresses) -> None:
    with redis.Redis.from_url(engines.redis_url) as client:
        assert client.ping()


async def test_kafka_creates_no_topic_by_accident(engines: Addresses) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    await admin.start()
    try:
        assert "never-created" not in await admin.list_topics()
        await admin.describe_topics(["never-created"])
        assert "never-created" not in await admin.list_topics()
    finally:
        await admin.close()


def test_a_fresh_database_is_its_owners_and_open_to_the_serving_role_alone(
    fresh_database: Callable[..., Database],
) -> None:
    with fresh_database("booking", migrated=False) as database:
        with psycopg.connect(database.owner_dsn) as owner:
            owner.execute("CREATE TABLE night (id int PRIMARY KEY)")
            owner.execute("GRANT SELECT ON night TO booking_service")
        with psycopg.connect(database.dsn) as server:
            assert server.execute("SELECT count(*) FROM night").fetchone() == (0,)
            assert server.execute("SELECT extname FROM pg_extension WHERE extname = 'btree_gist'").fetchone()
            assert server.execute(
                "SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone() == (False, False, False)


def test_the_roles_of_another_service_are_kept_out(fresh_database: Callable[..., Database]) -> None:
    with fresh_database("booking", migrated=False) as database:
        stranger = database.engines.postgres_dsn(database.name, "tenancy_service")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(stranger)
