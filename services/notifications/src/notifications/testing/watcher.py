"""A stock Socket.IO client, used as a page would use it."""

from typing import Any

import aiohttp
import socketio

from notifications.testing.waiting import until


class Watcher:
    """Writes down what it hears and, when it connects again by itself, goes on from there."""

    def __init__(self, url: str, auth: dict[str, Any]) -> None:
        """Connect to ``url`` with ``auth``, once told to."""
        self.url = url
        self.auth = auth
        self.heard: list[tuple[str, Any]] = []
        self.refusals: list[Any] = []
        self.after: dict[str, int] = {}
        self._session = aiohttp.ClientSession()  # its own would be left open where it is refused
        self.client = socketio.AsyncClient(
            reconnection_delay=0.05, reconnection_delay_max=0.2, http_session=self._session
        )
        self.client.on("*", self._hear)
        self.client.on("connect_error", self._refused)

    async def _refused(self, problem: Any) -> None:  # noqa: ANN401 - any JSON
        self.refusals.append(problem)

    async def _hear(self, name: str, message: Any) -> None:  # noqa: ANN401 - any JSON
        self.heard.append((name, message))
        if name == "ready":
            if not self.after:
                self.after = {stream: message[stream] for stream in ("booking", "tenancy")}
                self.after |= self.auth.get("after") or {}
        elif "stream" in message:
            self.after[message["stream"]] = message["position"]

    def _auth(self) -> dict[str, Any]:
        return self.auth | ({"after": self.after} if self.after else {})

    async def connect(self, **options: Any) -> "Watcher":  # noqa: ANN401 - as socketio takes them
        """Connect, and return once the socket is ready; `ConnectionError` of socketio where it is refused."""
        await self.client.connect(self.url, auth=self._auth, **options)
        await until(lambda: bool(self.messages("ready")), "ready")
        return self

    async def close(self) -> None:
        """Disconnect, and give up coming back."""
        await self.client.shutdown()
        await self._session.close()

    def messages(self, name: str) -> list[Any]:
        """Give the messages of a name."""
        return [message for heard, message in self.heard if heard == name]

    def positions(self, stream: str) -> list[int]:
        """Name the positions of the events of a stream that came, in the order in which they came."""
        return [message["position"] for name, message in self.heard if ":" in name and message["stream"] == stream]

    async def until_heard(self, stream: str, positions: range) -> None:
        """Wait until exactly the events at these positions of a stream have come, in that order."""
        await until(
            lambda: self.positions(stream) == list(positions),
            f"{stream} {positions}",
            lambda: f"heard: {self.positions(stream)}",
        )
