"""``python -m bench.load.listen``: sockets in rooms, and events for them through Redis; prints what it took.

Events are told on Redis as our consumer tells them to the instances that hold sockets, or, to a server of another make,
by a bare ``PUBLISH`` of the same text. So many events are under way at once and no more: the next are told when the
first of them has reached the last of its sockets. With one under way each event is ready alone, and no server can join
what waits; with ``burst`` so many are told together.

The server has one core and whatever runs here has the others, so that a server's speed is not its client's.
"""

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson
import uvloop

from bench.load.sockets import Watcher
from bench.processes import Processes

NAME: Final = "booking:created"
MARK: Final = f'"{NAME}"'.encode()
OCCURRED: Final = "2027-05-08T20:00:00.000Z"
_AT_ONCE: Final = 32
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who listens, and what is told to them.

    ``rooms`` are ids of tenants, each with a token (empty where the server asks for none); with a ``script`` events
    are kept and told by it, as our consumer does, instead of by a bare PUBLISH.
    """

    host: str
    port: int
    redis_url: str
    server: int
    rooms: list[tuple[str, str]]
    sockets_a_room: int
    seconds: float
    burst: int = 1
    under_way: int = 1
    event_bytes: int = 200
    script: str = ""
    pinned: bool = True

    def dumps(self) -> bytes:
        """Write it."""
        return orjson.dumps(asdict(self))

    @classmethod
    def loads(cls, text: bytes) -> Self:
        """Read it."""
        return cls(**orjson.loads(text))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came of it: deliveries, the time and the server's CPU seconds that they took, and latencies to the last."""

    deliveries: int
    seconds: float
    server_cpu_seconds: float
    own_cpu_seconds: float
    latencies: list[float] = field(default_factory=list)
    server_bytes_idle: int = 0
    server_bytes_connected: int = 0

    @classmethod
    def loads(cls, text: bytes) -> Self:
        """Read it."""
        return cls(**orjson.loads(text))


class Redis(asyncio.Protocol):
    """A connection to Redis on which one talks, and listens only for complaints."""

    def __init__(self) -> None:
        """Begin unconnected."""
        self.transport: asyncio.WriteTransport | None = None
        self.said = b""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own kind is no subclass
        """Take the connection."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take answers; errors begin with a minus."""
        self.said = data

    async def ask(self, *words: bytes) -> bytes:
        """Send a command, and wait for its answer.

        Raises:
            RuntimeError: Redis refuses it.
        """
        self.said = b""
        self.send(words)
        while not self.said:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.01)
        if self.said.startswith(b"-"):
            raise RuntimeError(self.said.decode())
        return self.said

    def send(self, *commands: Sequence[bytes]) -> None:
        """Send commands (RESP) in one write."""
        assert self.transport is not None  # noqa: S101 - it is connected first
        parts = []
        for words in commands:
            parts.append(b"*%d\r\n" % len(words))
            parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self.transport.write(b"".join(parts))


class Listening:
    """The sockets, and who tells them."""

    def __init__(self, audience: Audience) -> None:
        """Begin without sockets."""
        self._audience = audience
        self._redis = Redis()
        self._sha = b""
        self._heard = 0
        self._wanted = 0
        self._awaited = 0
        self._moved = asyncio.Event()
        self._positions = [0] * len(audience.rooms)
        self._lost = 0

    async def run(self) -> Heard:
        """Connect, tell for some seconds, and report.

        Raises:
            TimeoutError: what was told did not arrive.
        """
        loop = asyncio.get_running_loop()
        processes = Processes({"server": [self._audience.server]})
        url = urlsplit(self._audience.redis_url)
        _, self._redis = await loop.create_connection(Redis, url.hostname or "", url.port or 0)
        await self._redis.ask(b"AUTH", (url.username or "").encode(), (url.password or "").encode())
        if self._audience.script:
            answer = await self._redis.ask(b"SCRIPT", b"LOAD", self._audience.script.encode())
            self._sha = answer.split(b"\r\n")[1]
        idle = processes.resident_bytes()["server"]
        watchers = await self._connect()
        connected = processes.resident_bytes()["server"]
        gc.collect()
        gc.disable()
        await self._tell_for(min(1.0, self._audience.seconds))  # warm
        self._heard = self._wanted = 0
        own, cpu, began = time.process_time(), processes.cpu_seconds()["server"], time.perf_counter()
        latencies = await self._tell_for(self._audience.seconds)
        seconds = time.perf_counter() - began
        cpu = processes.cpu_seconds()["server"] - cpu
        own = time.process_time() - own
        if self._lost:
            message = f"{self._lost} sockets were closed meanwhile"
            raise ConnectionError(message)
        for watcher in watchers:
            watcher.close()
        return Heard(
            deliveries=self._heard,
            seconds=seconds,
            server_cpu_seconds=cpu,
            own_cpu_seconds=own,
            latencies=sorted(latencies),
            server_bytes_idle=idle,
            server_bytes_connected=connected,
        )

    async def _connect(self) -> list[Watcher]:
        slots = asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()

        async def connect(tenant: str, token: str) -> Watcher:
            async with slots:
                auth = {"token": token} if token else {"room": tenant}
                _, watcher = await loop.create_connection(
                    lambda: Watcher(auth, self._counter()), self._audience.host, self._audience.port
                )
                await watcher.connected
                return watcher

        wanted = [room for room in self._audience.rooms for _ in range(self._audience.sockets_a_room)]
        watchers = await asyncio.gather(*(connect(tenant, token) for tenant, token in wanted))
        await asyncio.sleep(1.0)  # for the last to have joined, and the server to have come to rest
        return list(watchers)

    def _counter(self) -> Any:  # noqa: ANN401 - a function of bytes
        tail = b""
        kept = len(MARK) - 1

        def count(data: bytes) -> None:
            nonlocal tail
            if not data:
                self._lost += 1
                self._moved.set()
                return
            seen = tail + data
            found = seen.count(MARK)
            tail = seen[-kept:]
            if found:
                self._heard += found
                if self._heard >= self._awaited:
                    self._moved.set()

        return count

    async def _tell_for(self, seconds: float) -> list[float]:
        """Tell events in turn to the rooms, as many under way as may be; gives how long each took, in milliseconds.

        With several under way that is how long it takes until there is room for another.
        """
        audience = self._audience
        latencies = []
        deliveries = audience.burst * audience.sockets_a_room
        most = audience.under_way * deliveries
        room = 0
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end and not self._lost:
            told = []
            while self._wanted - self._heard + deliveries <= most:
                self._wanted += deliveries
                told.append(self._make(room, audience.burst))
                room = (room + 1) % len(audience.rooms)
            self._redis.send(*told)
            await self._hear(self._wanted - most + deliveries)
            latencies.append((time.perf_counter() - began) * 1000)
        await self._hear(self._wanted)
        return latencies

    async def _hear(self, deliveries: int) -> None:
        """Wait until so many deliveries have come.

        Raises:
            TimeoutError: they do not.
        """
        self._awaited = deliveries
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self._heard < deliveries and not self._lost:
                self._moved.clear()
                await self._moved.wait()

    def _make(self, room: int, count: int) -> Sequence[bytes]:
        """Make the command that tells so many events to a room."""
        tenant = self._audience.rooms[room][0]
        first = self._positions[room] + 1
        self._positions[room] += count
        events = [(b"%d" % position, self._payload(position)) for position in range(first, first + count)]
        channel = f"live:{{{tenant}}}".encode()
        if self._sha:
            told = [word for position, payload in events for word in (position, payload, b"")]
            return b"EVALSHA", self._sha, b"1", channel + b":booking", channel, b"booking", b"1000", b"86400", *told
        lines = [b"booking", *(position + b" " + payload for position, payload in events)]
        return b"PUBLISH", channel, b"\n".join(lines)

    def _payload(self, position: int) -> bytes:
        """Make an event of the asked size, as sockets receive it."""
        head = f'["{NAME}",{{"stream":"booking","position":{position},"occurred_at":"{OCCURRED}","data":"'.encode()
        return head + b"x" * max(0, self._audience.event_bytes - len(head) - 3) + b'"}]'


def pin(pid: int, cores: set[int]) -> None:
    """Keep a process, and each of its threads, on some cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def main() -> None:
    """Read an audience, listen, and print what was heard."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    audience = Audience.loads(sys.stdin.buffer.read())
    cores = sorted(os.sched_getaffinity(0))
    if audience.pinned and len(cores) > 1:
        pin(audience.server, {cores[0]})
        pin(os.getpid(), set(cores[1:]))
    sys.stdout.buffer.write(orjson.dumps(asdict(uvloop.run(Listening(audience).run()))))


if __name__ == "__main__":
    main()
