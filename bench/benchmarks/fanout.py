"""Events to sockets: one room with many, and many rooms with two."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, ClassVar, Final

from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.load.listen import Audience, Heard
from bench.stage import new_tenants, tenant_id
from bench.statistics import percentile
from bench.systems import USER
from local_stack import checkout
from local_stack.port import HOST, free_ports
from local_stack.services import Instance
from notifications.adapters import recent

SECONDS: Final = 3.0
BURST: Final = 10
_NODE: Final = checkout.ROOT / "bench" / "baselines" / "node" / "fanout.mjs"
_ROOMY: Final = {"notifications": {"MAX_SOCKETS": "20000", "MAX_SOCKETS_USER": "5000"}}


class _FanOut(Benchmark):
    """Both servers, fed through Redis, each with one core."""

    ours_is: ClassVar[str] = "notifications"
    rooms: ClassVar[int] = 1
    usual_seconds: ClassVar[float] = SECONDS
    repetitions: ClassVar[int] = 3

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Run notifications, with the owners that it asks for the heads of streams, and the baseline."""
        with ExitStack() as stack:
            services = stack.enter_context(self.stage.services("tenancy", "booking", "notifications", changes=_ROOMY))
            self.instance = services["notifications"]
            self._baseline = stack.enter_context(self._server())
            yield

    def _server(self) -> Any:  # noqa: ANN401 - a context manager of an instance
        raise NotImplementedError

    async def listen(self, *, ours: bool, sockets: int, burst: int, under_way: int = 1) -> Heard:
        """Connect sockets to one of the two and tell them events."""
        names = new_tenants(self.rooms)
        rooms = [
            (str(tenant_id(name)), self.stage.issuer.token(tenant=name, user=USER) if ours else "") for name in names
        ]
        server = self.instance if ours else self._baseline
        audience = Audience(
            host=HOST,
            port=server.port,
            redis_url=self.stage.addresses.redis_url,
            server=server.child.pid,
            rooms=rooms,
            sockets_a_room=sockets,
            seconds=self.seconds(SECONDS),
            burst=burst,
            under_way=under_way,
            script=recent._PUBLISH if ours else "",  # noqa: SLF001 - what is measured is what it tells
        )
        return Heard.loads(await self.stage.job("bench.load.listen", environment=os.environ, given=audience.dumps()))

    async def ours(self) -> Measured:
        """Tell ours."""
        return await self._measure(ours=True)

    async def baseline(self) -> Measured:
        """Tell the other."""
        return await self._measure(ours=False)

    async def _measure(self, *, ours: bool) -> Measured:
        raise NotImplementedError


class FanOut(_FanOut):
    """One room, 500 and 2,000 sockets, 200-byte events: one by one, and ten at once."""

    name = "fan-out"
    about = "one room, 200-byte events, the same client; Node.js socket.io 4.8, each server on one core"
    baseline_is = "Node socket.io"
    sizes: ClassVar[Sequence[int]] = (500, 2_000)
    lines: ClassVar[Sequence[Line]] = tuple(
        line
        for size in (500, 2_000)
        for line in (
            Line(name=f"{size}, single", unit="deliveries/s", goal=Goal(at_least=1.2)),
            Line(name=f"{size}, single, CPU", unit="us/delivery", goal=Goal(at_most=0.8), more_is_better=False),
            Line(name=f"{size}, bursts of ten", unit="deliveries/s", goal=Goal(at_least=5)),
            Line(name=f"{size}, bursts of ten, CPU", unit="us/delivery", goal=Goal(at_most=0.25), more_is_better=False),
            Line(name=f"{size}, single, p50 to the last socket", unit="ms", more_is_better=False),
            Line(name=f"{size}, client", unit="of a core", more_is_better=False),
        )
    )

    @contextmanager
    def _server(self) -> Iterator[Instance]:
        port = free_ports(1)[0]
        server = _Node(port, self.stage.addresses.redis_url, self.stage.logs / "node.log")
        try:
            server.start()
            yield server
        finally:
            server.stop()

    async def _measure(self, *, ours: bool) -> Measured:
        found: dict[str, float] = {}
        for size in self.sizes:
            single = await self.listen(ours=ours, sockets=size, burst=1)
            bursts = await self.listen(ours=ours, sockets=size, burst=BURST)
            found |= {
                f"{size}, single": single.deliveries / single.seconds,
                f"{size}, single, CPU": single.server_cpu_seconds / single.deliveries * 1e6,
                f"{size}, bursts of ten": bursts.deliveries / bursts.seconds,
                f"{size}, bursts of ten, CPU": bursts.server_cpu_seconds / bursts.deliveries * 1e6,
                f"{size}, single, p50 to the last socket": percentile(single.latencies, 0.5),
                f"{size}, client": single.own_cpu_seconds / single.seconds,
            }
        return found


class _Node(Instance):
    """A program of Node.js."""

    def __init__(self, port: int, redis_url: str, log: Any) -> None:  # noqa: ANN401 - a path
        super().__init__("node", [], port=port, environment={}, log=log)
        self._redis_url = redis_url

    def make_child(self) -> Any:  # noqa: ANN401 - a child process
        child = super().make_child()
        child.command = ["node", str(_NODE), str(self.port)]
        child.environment |= {"NODE_ENV": "production", "REDIS_URL": self._redis_url}
        return child


class Rooms(_FanOut):
    """A thousand rooms of two."""

    name = "rooms"
    about = "1,000 rooms of 2 sockets, 200-byte events, 100 under way at once; plain python-socketio on uvicorn"
    baseline_is = "python-socketio"
    rooms = 1_000
    under_way: ClassVar[int] = 100
    lines: ClassVar[Sequence[Line]] = (
        Line(name="throughput", unit="deliveries/s", goal=Goal(at_least=5)),
        Line(name="CPU", unit="us/delivery", more_is_better=False),
        Line(name="client", unit="of a core", more_is_better=False),
    )

    def _server(self) -> Any:  # noqa: ANN401 - a context manager of an instance
        environment = {"PLAIN_REDIS_URL": self.stage.addresses.redis_url}
        return self.stage.program("plain-socketio", ["bench.baselines.plain_socketio"], environment)

    async def _measure(self, *, ours: bool) -> Measured:
        heard = await self.listen(ours=ours, sockets=2, burst=1, under_way=self.under_way)
        return {
            "throughput": heard.deliveries / heard.seconds,
            "CPU": heard.server_cpu_seconds / heard.deliveries * 1e6,
            "client": heard.own_cpu_seconds / heard.seconds,
        }
