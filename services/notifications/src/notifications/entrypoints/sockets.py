"""What sockets send: ``connect``, ``auth:renew``, ``disconnect``; everything else is ignored."""

from typing import Any

import socketio
from socketio.exceptions import ConnectionRefusedError as SocketRefusedError

from notifications.adapters.sockets import SocketEmitter
from notifications.application.live import Live
from production_contracts.times import format_timestamp
from servicekit.logs import bound
from servicekit.problems import ProblemError


def install(server: "socketio.AsyncServer", live: Live, emitter: SocketEmitter) -> None:
    """Let a Socket.IO server hand what its clients send to ``live``."""

    async def connect(sid: str, _environ: dict[str, Any], auth: Any = None) -> None:  # noqa: ANN401 - a client's
        try:
            admission = await live.admit(auth)
            with bound(tenant_id=admission.tenant_id):
                await server.enter_room(sid, f"tenant:{admission.tenant_id}")
                live.enter(sid, admission)
        except ProblemError as error:
            # The client's connect_error: its message is the slug, its data the problem.
            raise SocketRefusedError(error.kind.slug, error.body) from None

    async def renew(sid: str, data: Any = None, *_: Any) -> dict[str, Any]:  # noqa: ANN401 - a client's
        try:
            return {"expires_at": format_timestamp(await live.renew(sid, data))}
        except ProblemError as error:
            return {"error": error.body}

    async def disconnect(sid: str, _reason: str = "") -> None:
        live.leave(sid)
        emitter.release(sid)

    server.on("connect", connect)
    server.on("auth:renew", renew)
    server.on("disconnect", disconnect)
