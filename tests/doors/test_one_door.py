"""Connections are made where TLS is: whoever connected past these places would come in the clear."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.checkout import ROOT

SOURCES = sorted(path for folder in ("libs", "services") for path in ROOT.glob(f"{folder}/*/src/**/*.py"))


def lines_with(pattern: str) -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        if "testing" in path.parts or path.name == "testing.py":
            continue
        for line in path.read_text().splitlines():
            if re.search(pattern, line):
                yield str(path.relative_to(ROOT)), line.strip()


def files_with(pattern: str) -> set[str]:
    return {Path(path).name for path, _ in lines_with(pattern)}


def test_contexts_are_made_in_one_module() -> None:
    assert files_with(r"create_default_context\(|ssl\.SSLContext\(") == {"tls.py"}


@pytest.mark.parametrize("url", ["database_url", "database_owner_url", "database_read_url", "redis_url"])
def test_only_settings_read(url: str) -> None:
    """Everybody else takes `settings.database`, `settings.database_as_owner` or `settings.redis`, and TLS with it."""
    assert {path for path, _ in lines_with(rf"\.{url}\b")} == {"libs/servicekit/src/servicekit/settings.py"}


def test_every_engine_of_sqlalchemy_is_given_the_arguments_of_an_access() -> None:
    made = {path for path, _ in lines_with(r"create_async_engine\(")}
    assert made == {f"libs/servicekit/src/servicekit/{name}.py" for name in ("database", "jobs", "migrate")}
    for path in made:
        text = (ROOT / path).read_text()
        assert text.count("create_async_engine(") == text.count(".arguments()")


def test_every_session_of_aiohttp_has_a_connector_and_every_connector_a_context() -> None:
    sessions = {path for path, line in lines_with(r"aiohttp\.ClientSession\(") if "->" not in line}
    assert sessions
    for path in sessions:
        text = (ROOT / path).read_text()
        assert text.count("aiohttp.ClientSession(") == text.count("aiohttp.TCPConnector("), path
        assert text.count("aiohttp.TCPConnector(") == len(re.findall(r"ssl=client_context\(", text)), path


def test_pools_of_redis_are_made_in_one_module() -> None:
    assert files_with(r"from_url\(|BlockingConnectionPool\(") == {"redis_pool.py"}
