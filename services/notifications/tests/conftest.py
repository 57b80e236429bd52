"""A Redis of our own, alone, that a test may stop."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.account import account_for
from local_stack.credentials import Credentials
from local_stack.port import free_ports
from local_stack.redis_server import Redis
from local_stack.testing import temporary_folder
from production_contracts.redis_users import ADMIN


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    """A Redis that no other test module uses."""
    folder: Path = temporary_folder()
    port = free_ports(1)[0]
    server = Redis(
        data=folder / "data",
        log=folder / "redis.log",
        port=port,
        durable=False,
        account=account_for("redis"),
        credentials=Credentials(),
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    return redis_server.url_as(ADMIN)
