"""The pytest plugin that gives every member of the workspace its real parts.

Fixtures:
    engines: `Addresses` of one PostgreSQL, Redis and Kafka for the whole run, started when first asked for.
    fresh_database: `fresh_database("booking") -> Database`, new and migrated.
    own_engines: `Engines` of the asking test module alone, to stop, kill and pause.
    issuer: a running `Issuer` of tokens.
    system: `SystemAddresses` of the running whole, one for the run, on engines of its own.
    own_system: a `System` of the asking test module alone, to break.

Engines are containers where a Docker engine answers, else this machine's own; the end of the run says which.
With pytest-xdist the controlling process runs what the workers share, what takes long begins first, and folders whose
modules share a whole of their own stay together, so that it is started once.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, Literal, cast

import pytest

from local_stack.containers import engine_kind, for_tests
from local_stack.databases import Database, Databases
from local_stack.engines import Addresses, Engines
from local_stack.issuer import Issuer, IssuerServer
from local_stack.port import HOST, Ports, free_ports
from local_stack.system import System, SystemAddresses

SHARE_A_WHOLE: Final = ("tests/faults/", "tests/poison/", "tests/sealing/")
"""Folders whose modules break or fill one running whole, a fixture of the session."""
TAKE_LONG: Final = ("tests/", "deploy/local/tests/")

_HOST_KEY = pytest.StashKey["SharedParts | RemoteParts"]()
_INPUT = "local_stack"


def temporary_folder() -> Path:
    """Make a folder that other accounts can pass through, as pytest's own ones are not."""
    folder = Path(tempfile.mkdtemp(prefix="production-tool-"))
    folder.chmod(0o755)
    return folder


def _start(part: Engines | System) -> None:
    """Start it, or leave nothing of it behind."""
    try:
        part.start()
    except BaseException:
        part.discard()
        raise


class SharedParts:
    """What one pytest run shares; started when first asked for, stopped at the end."""

    def __init__(self) -> None:
        """Start nothing."""
        self.folder = temporary_folder()
        self._lock = Lock()
        self._engines: Engines | None = None
        self._system: System | None = None

    def engines(self) -> Addresses:
        """Give the engines, starting them if need be."""
        with self._lock:
            if self._engines is None:
                engines = Engines(self.folder / "engines", ports=Ports.free(), durable=False, make=for_tests)
                _start(engines)
                self._engines = engines
            return self._engines.addresses

    def system(self) -> SystemAddresses:
        """Give the whole, starting it if need be."""
        with self._lock:
            if self._system is None:
                system = System(self.folder / "system", make=for_tests)
                _start(system)
                self._system = system
            return self._system.at

    @property
    def used(self) -> bool:
        """Whether anything was started."""
        return self._engines is not None or self._system is not None

    def stop(self) -> None:
        """Stop what was started and remove its data."""
        with self._lock:
            for part in (self._system, self._engines):
                if part is not None:
                    part.discard()
        shutil.rmtree(self.folder, ignore_errors=True)

    def serve(self) -> dict[str, Any]:
        """Answer other processes of this run; gives what `RemoteParts` needs to ask."""
        key = secrets.token_bytes(32)
        listener = Listener((HOST, 0), authkey=key)
        Thread(target=self._accept, args=(listener,), name="shared parts", daemon=True).start()
        return {"address": list(listener.address), "key": key.hex(), "folder": str(self.folder)}

    def _accept(self, listener: Listener) -> None:
        while True:
            connection = listener.accept()
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            asked: Literal["engines", "system"] = connection.recv()
            try:
                connection.send(self.engines() if asked == "engines" else self.system())
            except Exception as failure:  # noqa: BLE001 - it is raised where it was asked for
                connection.send(failure)


class RemoteParts:
    """The shared parts, asked for by an xdist worker."""

    def __init__(self, address: list[Any], key: str, folder: str) -> None:
        """Take what `SharedParts.serve` gave."""
        self.folder = Path(folder)
        self._address = (str(address[0]), int(address[1]))
        self._key = bytes.fromhex(key)

    def engines(self) -> Addresses:
        """Give the engines."""
        return cast("Addresses", self._ask("engines"))

    def system(self) -> SystemAddresses:
        """Give the whole."""
        return cast("SystemAddresses", self._ask("system"))

    def _ask(self, what: str) -> object:
        with Client(self._address, authkey=self._key) as connection:
            connection.send(what)
            answer = connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def pytest_configure(config: pytest.Config) -> None:
    """Decide who runs the shared parts: this process, or the one that started this worker."""
    given = getattr(config, "workerinput", {}).get(_INPUT)
    config.stash[_HOST_KEY] = SharedParts() if given is None else RemoteParts(**given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist ships no types
    """Tell each xdist worker where to ask."""
    shared = node.config.stash[_HOST_KEY]
    if not hasattr(node.config, "_local_stack_address"):
        node.config._local_stack_address = shared.serve()  # noqa: SLF001 - ours
    node.workerinput[_INPUT] = node.config._local_stack_address  # noqa: SLF001 - ours


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - xdist ships no types
    """Let a worker take a file at a time, or a folder that shares a whole, in the order given below."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - an extra, as far as this plugin is concerned

    class Scheduling(LoadFileScheduling):  # type: ignore[misc] # xdist ships no types
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in SHARE_A_WHOLE if nodeid.startswith(folder)), nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, where several work: begun last, one of them alone would go on for minutes."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(TAKE_LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the tests ran on: nothing is swapped in silence."""
    shared = config.stash.get(_HOST_KEY, None)
    if isinstance(shared, SharedParts) and shared.used:
        terminalreporter.write_line(f"PostgreSQL, Redis and Kafka were real: {engine_kind()}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared parts."""
    shared = config.stash.get(_HOST_KEY, None)
    if isinstance(shared, SharedParts):
        shared.stop()


@pytest.fixture(scope="session")
def engines(pytestconfig: pytest.Config) -> Addresses:
    """One PostgreSQL, Redis and Kafka for the whole run; other tests use them at the same time."""
    return pytestconfig.stash[_HOST_KEY].engines()


@pytest.fixture(scope="session")
def fresh_database(engines: Addresses, pytestconfig: pytest.Config) -> Callable[..., Database]:
    """`fresh_database(service, migrated=True)`: a new database of a service."""
    return Databases(engines, logs=pytestconfig.stash[_HOST_KEY].folder / "engines" / "logs").fresh


@pytest.fixture(scope="module")
def own_engines() -> Iterator[Engines]:
    """Engines that no other test module uses."""
    folder = temporary_folder()
    engines = Engines(folder, ports=Ports.free(), durable=False, make=for_tests)
    try:
        engines.start()
        yield engines
    finally:
        engines.discard()


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens that publishes its keys."""
    port = free_ports(1)[0]
    with IssuerServer(Issuer.new(f"http://{HOST}:{port}"), port) as server:
        yield server.issuer


@pytest.fixture(scope="session")
def system(pytestconfig: pytest.Config) -> SystemAddresses:
    """The running whole; other tests use it at the same time, so use a tenant of your own."""
    return pytestconfig.stash[_HOST_KEY].system()


@pytest.fixture(scope="module")
def own_system() -> Iterator[System]:
    """A running whole that no other test module uses."""
    system = System(temporary_folder(), make=for_tests)
    try:
        system.start()
        yield system
    finally:
        system.discard()
