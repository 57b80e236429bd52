"""What the services take before anybody asks: time until they are ready, and memory."""

import os
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from bench.benchmark import Benchmark, Line, Measured
from bench.load.listen import Audience, Heard
from bench.processes import Processes
from bench.stage import new_tenants, tenant_id
from bench.systems import USER
from local_stack.environment import SERVICES
from local_stack.port import HOST
from local_stack.services import Instance
from notifications.adapters import recent

ROOMS: Final = 10
SOCKETS_A_ROOM: Final = 100
"""Of one user, who may have no more at an instance; a thousand in all."""
MIB: Final = 1024 * 1024


class Footprint(Benchmark):
    """Cold start and memory; stated, not compared."""

    name = "footprint"
    about = "from the start of a process to its /readyz, memory when idle (PSS), and memory of 1,000 sockets"
    repetitions: ClassVar[int] = 3
    lines: ClassVar[Sequence[Line]] = (
        *(Line(name=f"{name}, cold start", unit="s", more_is_better=False, ours_only=True) for name in SERVICES),
        *(Line(name=f"{name}, idle", unit="MiB", more_is_better=False, ours_only=True) for name in SERVICES),
        Line(name="notifications, 1,000 sockets", unit="MiB", more_is_better=False, ours_only=True),
    )

    async def ours(self) -> Measured:
        """Start one service after the other, then connect sockets."""
        found: dict[str, float] = {}
        with self.stage.no_services() as services:
            started: dict[str, Instance] = {}
            for name in SERVICES:
                began = time.perf_counter()
                started[name] = services.start(name)
                found[f"{name}, cold start"] = time.perf_counter() - began
            held = Processes({name: [one.child.pid] for name, one in started.items()}).resident_bytes()
            found |= {f"{name}, idle": size / MIB for name, size in held.items()}
            notifications = started["notifications"]
            audience = Audience(
                host=HOST,
                port=notifications.port,
                redis_url=self.stage.addresses.redis_url,
                server=notifications.child.pid,
                rooms=[
                    (str(tenant_id(room)), self.stage.issuer.token(tenant=room, user=f"{USER}-{number}"))
                    for number, room in enumerate(new_tenants(ROOMS))
                ],
                sockets_a_room=SOCKETS_A_ROOM,
                seconds=0.5,
                script=recent._PUBLISH,  # noqa: SLF001 - as the consumer tells it
            )
            printed = await self.stage.job("bench.load.listen", environment=os.environ, given=audience.dumps())
        heard = Heard.loads(printed)
        found["notifications, 1,000 sockets"] = (heard.server_bytes_connected - heard.server_bytes_idle) / MIB
        return found
