"""A stand-in for Clerk's Backend API: organisations, memberships and invitations, as `tenancy reconcile` reads them.

``python -m local_stack.clerk_api --port 8091 --books books.json`` serves what a file says: ``{"organizations": [...],
"memberships": {"<org id>": [...]}, "invitations": {"<org id>": [...]}}``, each as Clerk's API writes it.
"""

import argparse
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from local_stack.port import HOST

Listed = list[dict[str, Any]]
_PATH = re.compile(r"/v1/organizations(?:/(?P<org>[^/]+)(?:/(?P<what>memberships|invitations))?)?\Z")


@dataclass
class Books:
    """What Clerk knows; and the answers that it gives instead, one a request, as long as there are some."""

    organizations: Listed = field(default_factory=list)
    memberships: dict[str, Listed] = field(default_factory=dict)
    invitations: dict[str, Listed] = field(default_factory=dict)
    instead: list[HTTPStatus] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class ClerkServer:
    """Serves books over HTTP on loopback, from a thread, to whoever has the key; a context manager."""

    def __init__(self, books: Books, *, secret_key: str, port: int = 0) -> None:
        """Bind the port; raises OSError when it is taken."""
        self.books = books
        self._server = ThreadingHTTPServer((HOST, port), _handler(books, secret_key))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{HOST}:{self._server.server_port}"

    def serve(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    def __enter__(self) -> Self:
        """Serve in the background."""
        Thread(target=self.serve, name="clerk", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _find(books: Books, path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
    """Answer a read; None: there is nothing."""
    match = _PATH.match(path)
    if match is None:
        return None
    org, what = match["org"], match["what"]
    if org is None:
        return _page(books.organizations, query)
    known = next((one for one in books.organizations if one["id"] == org), None)
    if known is None or what is None:
        return known
    listed = (books.memberships if what == "memberships" else books.invitations).get(org, [])
    if users := query.get("user_id"):
        listed = [one for one in listed if one["public_user_data"]["user_id"] in users]
    return _page(listed, query)


def _page(listed: Listed, query: dict[str, list[str]]) -> dict[str, Any]:
    limit, offset = (int(query.get(name, [str(default)])[0]) for name, default in (("limit", 10), ("offset", 0)))
    return {"data": listed[offset : offset + limit], "total_count": len(listed)}


def _handler(books: Books, secret_key: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            books.asked.append(self.path)
            if self.headers.get("Authorization") != f"Bearer {secret_key}":
                self._answer(HTTPStatus.UNAUTHORIZED, {"errors": [{"code": "authentication_invalid"}]})
            elif books.instead:
                self._answer(books.instead.pop(0), {"errors": [{"code": "instead"}]})
            elif (found := _find(books, asked.path, parse_qs(asked.query))) is not None:
                self._answer(HTTPStatus.OK, found)
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"errors": [{"code": "resource_not_found"}]})

        def log_message(self, *_: object) -> None:
            """Say nothing: tests read what was asked in the books."""

        def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.clerk_api", description="Stand in for Clerk's API.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--books", type=Path, required=True, help="the file that says what there is")
    parser.add_argument("--secret-key", default="sk_local", help="whom to answer (default: %(default)s)")
    arguments = parser.parse_args()
    books = Books(**json.loads(arguments.books.read_text()))
    ClerkServer(books, secret_key=arguments.secret_key, port=arguments.port).serve()


if __name__ == "__main__":
    main()
