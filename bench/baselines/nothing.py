"""``python -m bench.baselines.nothing --port N``: answers every request at once, with the same booking."""

import argparse
import asyncio
from typing import cast

import uvloop

from local_stack.port import HOST

_BODY = b'{"id":"018f0000-0000-7000-8000-000000000000","status":"pencil","title":"Night","version":1}'
_ANSWER = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)
_READY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Nothing(asyncio.Protocol):
    """A connection on which a piece is a request, which holds of a client that asks one at a time."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self._transport.write(_ANSWER if data.startswith(b"POST") else _READY)


async def serve(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Nothing, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
