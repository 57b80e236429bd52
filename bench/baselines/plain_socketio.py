"""``python -m bench.baselines.plain_socketio --port N``: python-socketio as its documentation shows it, on uvicorn.

Fed through Redis as ours is: a room per tenant, the events of a channel to its room. Nobody is asked for a token.
"""

import argparse
import asyncio
import os
from typing import Any

import orjson
import socketio
import uvicorn
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from local_stack.port import HOST


async def _ready(scope: Scope, _receive: Receive, send: Send) -> None:
    status = 200 if scope["path"] == "/readyz" else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _feed(server: socketio.AsyncServer) -> None:
    redis = Redis.from_url(os.environ["PLAIN_REDIS_URL"], decode_responses=True)
    async with redis.pubsub() as channels:
        await channels.psubscribe("live:*")
        async for told in channels.listen():
            if told["type"] != "pmessage":
                continue
            room = told["channel"].removeprefix("live:{").removesuffix("}")
            for line in told["data"].split("\n")[1:]:
                name, message = orjson.loads(line.partition(" ")[2])
                await server.emit(name, message, room=room)


async def serve(port: int) -> None:
    """Serve for ever."""
    server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    async def connect(sid: str, _environ: dict[str, Any], auth: dict[str, str]) -> None:
        await server.enter_room(sid, auth["room"])

    server.on("connect", connect)
    app = socketio.ASGIApp(server, other_asgi_app=_ready)
    config = uvicorn.Config(
        app, host=HOST, port=port, loop="uvloop", log_level="warning", ws_per_message_deflate=False, lifespan="off"
    )
    feeding = asyncio.create_task(_feed(server))
    await uvicorn.Server(config).serve()
    feeding.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
