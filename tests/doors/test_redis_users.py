"""Redis lets each user do what its row of the table says, and nothing else: every command, key and channel is tried."""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from local_stack.account import account_for
from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.port import HOST, free_ports, listens
from local_stack.process import Child
from local_stack.redis_server import Redis
from local_stack.testing import temporary_folder
from production_contracts.redis_users import ADMIN, ANY, REDIS_USERS, RedisUser
from servicekit.redis_users import UnknownUserError, acl_file

KEYS = sorted({key for user in REDIS_USERS for key in user.keys} | {"somebody-elses:*", "gateway:other", "lively"})
CHANNELS = sorted({channel for user in REDIS_USERS for channel in user.channels} | {"somebody-elses:*", "lively"})
EVERYBODYS = {"auth", "hello", "quit", "reset"}
"""What logs in or out: no rule of Redis binds it."""


@pytest.fixture(scope="module")
def at() -> Iterator[Redis]:
    folder = temporary_folder()
    server = Redis(
        data=folder / "data",
        log=folder / "redis.log",
        port=free_ports(1)[0],
        durable=True,
        account=account_for("redis"),
        credentials=Credentials(),
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def client(at: Redis, user: str) -> redis.Redis:
    return redis.Redis.from_url(at.url_as(user), decode_responses=True, protocol=2)


def concrete(name: str) -> str:
    return name.replace(ANY, "7")


def covers(names: tuple[str, ...], name: str) -> bool:
    return any(name.startswith(n.removesuffix(ANY)) if n.endswith(ANY) else name == n for n in names)


def arities(at: Redis) -> dict[str, int]:
    """Name every command and subcommand that this Redis has, and how many words it takes at least."""
    with client(at, ADMIN) as admin:
        admin.response_callbacks.clear()
        listed = admin.execute_command("COMMAND")
    each = [found for command in listed for found in (command[9] or [command])]
    return {found[0]: abs(found[1]) for found in each}


def may_send(at: Redis, user: str, *words: str) -> bool:
    """Ask Redis whether a user may send this, without sending it."""
    with client(at, ADMIN) as admin:
        return str(admin.execute_command("ACL DRYRUN", user, *words)) == "OK"


@pytest.mark.parametrize("user", REDIS_USERS, ids=lambda user: user.name)
class TestEachUser:
    def test_sends_its_commands_and_no_other(self, at: Redis, user: RedisUser) -> None:
        own_key = concrete(user.keys[0])
        found = set()
        with client(at, ADMIN) as admin:
            for name, arity in arities(at).items():
                words = [*name.split("|"), *[own_key] * arity][:arity]
                said = str(admin.execute_command("ACL DRYRUN", user.name, *words))
                if "no permissions to run" not in said:
                    found.add(name)
        assert found - EVERYBODYS == set(user.commands)

    def test_sends_nothing_that_redis_calls_dangerous(self, at: Redis, user: RedisUser) -> None:
        with client(at, ADMIN) as admin:
            dangerous = {name for category in ("dangerous", "admin") for name in admin.acl_cat(category)}
        assert {"flushall", "keys", "config|set", "shutdown"} <= dangerous
        assert set(user.commands) & dangerous == set()

    def test_reaches_its_keys_and_no_other(self, at: Redis, user: RedisUser) -> None:
        command = next(name for name in ("incrby", "xadd") if name in user.commands)
        rest = {"incrby": ("1",), "xadd": ("*", "e", "x")}[command]
        with client(at, user.name) as mine:
            found = {key for key in map(concrete, KEYS) if _is_let(mine, command, key, *rest)}
            assert found == {key for key in map(concrete, KEYS) if covers(user.keys, key)}
        for key in found:
            with client(at, ADMIN) as admin:
                admin.delete(key)

    def test_a_script_does_no_more_than_its_user(self, at: Redis, user: RedisUser) -> None:
        with client(at, user.name) as mine:
            for script in ("return redis.call('GET', KEYS[1])", "return redis.call('FLUSHALL')"):
                digest = mine.script_load(script)
                with pytest.raises(redis.ResponseError, match="can't run this command"):
                    mine.evalsha(digest, 1, concrete(user.keys[0]))
            with pytest.raises(NoPermissionError):
                mine.evalsha(mine.script_load("return 1"), 1, "somebody-elses:7")

    def test_speaks_and_listens_on_its_channels_and_no_other(self, at: Redis, user: RedisUser) -> None:
        names = list(map(concrete, CHANNELS))
        expected = {name for name in names if covers(user.channels, name)}
        assert {name for name in names if may_send(at, user.name, "publish", name, "x")} == expected
        assert {name for name in names if may_send(at, user.name, "subscribe", name)} == expected

    def test_needs_its_own_password(self, at: Redis, user: RedisUser) -> None:
        for password in ("", "a guess", at.credentials.of_redis_user(ADMIN)):
            other = redis.Redis(host=HOST, port=at.port, username=user.name, password=password)
            with other, pytest.raises(AuthenticationError):
                other.ping()


def test_whoever_does_not_log_in_is_not_served(at: Redis) -> None:
    with redis.Redis(host=HOST, port=at.port) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    with redis.Redis(host=HOST, port=at.port, password="") as nobody, pytest.raises(AuthenticationError):
        nobody.ping()


def test_there_is_nobody_else(at: Redis) -> None:
    with client(at, ADMIN) as admin:
        assert set(admin.acl_users()) == {"default", ADMIN, *(user.name for user in REDIS_USERS)}
        assert "off" in admin.acl_getuser("default")["flags"]


def test_a_user_without_a_password_is_off_and_a_password_for_nobody_is_refused() -> None:
    lines = acl_file({"gateway": "open sesame"}).splitlines()
    assert [line.split()[1:3] for line in lines] == [
        ["default", "off"],
        ["gateway", "on"],
        ["notifications", "off"],
        [ADMIN, "off"],
    ]
    assert "open sesame" not in "".join(lines)
    with pytest.raises(UnknownUserError, match="nobody"):
        acl_file({"nobody": "x"})


def test_compose_starts_redis_with_the_same_users() -> None:
    composed = (ROOT / "docker-compose.yml").read_text()
    listed = re.search(r"^  redis:$.*?^    command:\n((?:      - [^\n]*\n)+)", composed, re.MULTILINE | re.DOTALL)
    assert listed
    command = [line.strip().removeprefix("- ").strip('"') for line in listed[1].splitlines()]
    stated = {}
    for index, word in enumerate(command):
        if word == "--user":
            rules = command[index + 2 :]
            end = next((at for at, rule in enumerate(rules) if rule.startswith("--")), len(rules))
            stated[command[index + 1]] = rules[:end]
    with started([re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in command]) as port:
        for user in REDIS_USERS:
            with redis.Redis(host=HOST, port=port, username=user.name, password="local") as mine:
                assert mine.ping()
                with pytest.raises(NoPermissionError):
                    mine.flushall()
    logins = {name: [rule for rule in rules if rule.startswith(">")] for name, rules in stated.items()}
    assert stated["default"] == ["off"]
    for user in REDIS_USERS:
        assert stated[user.name] == ["on", *logins[user.name], *user.rules]
        assert len(logins[user.name]) == 1
    assert stated.keys() == {"default", ADMIN, *(user.name for user in REDIS_USERS)}


def test_the_passwords_stand_nowhere_that_others_can_read(at: Redis) -> None:
    file = at.data / "users.acl"
    assert file.stat().st_mode & 0o077 == 0
    for user in (ADMIN, *(user.name for user in REDIS_USERS)):
        password = at.credentials.of_redis_user(user)
        assert password not in file.read_text()
        assert password.encode() not in Path(f"/proc/{at.child.pid}/cmdline").read_bytes()


def test_an_outage_of_the_server_changes_no_right(at: Redis) -> None:
    at.restart()
    with redis.Redis(host=HOST, port=at.port) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    with client(at, "gateway") as gateway, pytest.raises(NoPermissionError):
        gateway.flushall()


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[int]:
    """Start Redis as a container would; gives the port."""
    folder, port = temporary_folder(), free_ports(1)[0]
    more = ["--port", str(port), "--bind", HOST, "--dir", str(folder)]
    child = Child("redis", [*command, *more], log=folder / "log", folder=Path("/"))
    child.start()
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            assert child.alive, child.output()
            assert time.monotonic() < deadline
        yield port
    finally:
        child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _is_let(connection: redis.Redis, *words: str) -> bool:
    execute: Callable[..., object] = connection.execute_command
    try:
        execute(*words)
    except NoPermissionError:
        return False
    return True
