"""``python -m bench.load``: reads a plan, carries it out, and prints a report."""

import asyncio
import gc
import random
import re
import resource
import sys
import time
from collections import Counter, deque
from typing import Final

import uvloop

from bench.load.connections import BrokenAnswerError, Connection
from bench.load.plan import Plan, Report
from bench.load.requests import requests
from bench.load.sockets import Watcher

DRAIN_SECONDS: Final = 30.0
"""How long answers to what was asked may take to come after the end."""
_TITLE: Final = re.compile(rb'"title":"Night (\d+)"')
_LONGEST_TITLE: Final = 64


class Load:
    """Carries out a plan."""

    def __init__(self, plan: Plan) -> None:
        """Begin with nothing asked."""
        self._plan = plan
        self._make = requests(plan)
        self._clock = time.perf_counter
        self._asked = 0
        self._in_hand = 0
        self._end = 0.0
        self._statuses: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._arrivals: list[float] = []
        self._due: dict[int, float] = {}
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._over = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self) -> Report:
        """Open the connections, ask, and wait for what was asked.

        Raises:
            BrokenAnswerError: a server closed a connection, or what was asked was not answered in time.
        """
        connections = [await self._connect(number) for number in range(self._plan.connections)]
        watchers = [await self._watch(host, port, token) for host, port, token in self._plan.watch]
        gc.collect()
        gc.disable()
        cpu = _cpu_seconds()
        began = self._clock()
        self._end = began + self._plan.seconds
        if self._plan.rate is None:
            for connection in connections:
                self._ask(connection, self._clock())
        else:
            self._idle.extend(connections)
            await self._keep_time(self._plan.rate)
        try:
            await asyncio.wait_for(self._over.wait(), self._plan.seconds + DRAIN_SECONDS)
        except TimeoutError:
            self._failure = BrokenAnswerError(f"{self._in_hand} requests were not answered in {DRAIN_SECONDS:.0f} s")
        cpu = _cpu_seconds() - cpu
        if self._failure is None and watchers:
            await self._wait_for_arrivals()
        for connection in connections:
            connection.close()
        for watcher in watchers:
            watcher.close()
        if self._failure is not None:
            raise self._failure
        return Report(
            seconds=self._plan.seconds,
            asked=self._plan.first + self._asked,
            statuses=dict(self._statuses),
            latencies=sorted(self._latencies),
            arrivals=sorted(self._arrivals),
            cpu_seconds=cpu,
        )

    async def _connect(self, number: int) -> Connection:
        """Connect to the addresses in turn, so that each server has as many."""
        host, port = self._plan.addresses[number % len(self._plan.addresses)]
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._answered, self._fail), host, port)
        return connection

    async def _watch(self, host: str, port: int, token: str) -> Watcher:
        tail = b""

        def arrived(data: bytes) -> None:
            nonlocal tail
            now = self._clock()
            seen = tail + data
            last = 0
            for found in _TITLE.finditer(seen):
                last = found.end()
                due = self._due.pop(int(found[1]) - self._plan.first, None)
                if due is not None and due <= self._end:
                    self._arrivals.append((now - due) * 1000)
            tail = seen[max(last, len(seen) - _LONGEST_TITLE) :]

        loop = asyncio.get_running_loop()
        _, watcher = await loop.create_connection(lambda: Watcher({"token": token}, arrived), host, port)
        await watcher.connected
        return watcher

    def _ask(self, connection: Connection, due: float) -> None:
        number = self._asked
        self._asked += 1
        self._in_hand += 1
        if self._plan.watch:
            self._due[number] = due
        connection.send(self._make(number), due)

    def _answered(self, connection: Connection, status: bytes, due: float) -> None:
        now = self._clock()
        self._in_hand -= 1
        if now <= self._end or self._plan.rate is not None:
            self._statuses[status.decode()] += 1
            self._latencies.append((now - due) * 1000)
        if self._plan.rate is None:
            if now < self._end:
                self._ask(connection, now)
                return
        elif self._waiting:
            self._ask(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)
        if not self._in_hand and now >= self._end:
            self._over.set()

    async def _keep_time(self, rate: float) -> None:
        """Let requests be due at random moments, ``rate`` a second; the same moments each time."""
        moments = random.Random(1)  # noqa: S311 - not a secret
        due = self._clock()
        while (due := due + moments.expovariate(rate)) < self._end and self._failure is None:
            early = due - self._clock()
            if early > 0:
                await asyncio.sleep(early)
            now = self._clock()  # that timers ring a millisecond late is not the server's doing
            if self._idle:
                self._ask(self._idle.popleft(), now)
            else:
                self._waiting.append(now)
        await asyncio.sleep(max(0.0, self._end - self._clock()))
        if not self._in_hand:
            self._over.set()

    async def _wait_for_arrivals(self) -> None:
        deadline = self._clock() + DRAIN_SECONDS
        while self._due and self._clock() < deadline:  # noqa: ASYNC110 - not worth an event each
            await asyncio.sleep(0.01)
        if self._due:
            self._failure = BrokenAnswerError(f"{len(self._due)} bookings did not arrive on their socket")

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._over.set()


def _cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.stdout.buffer.write(uvloop.run(Load(Plan.loads(sys.stdin.buffer.read())).run()).dumps())
