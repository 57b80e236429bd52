"""A Transit engine, as far as a master key needs one: encrypt and decrypt over HTTP, as Vault documents them."""

import base64
import binascii
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class TransitServer:
    """One engine with its keys, each in versions; what is asked without the right token is refused."""

    def __init__(self, *, token: str, namespace: str | None = None, binds: bool = True) -> None:
        """Accept ``token``; an engine that does not ``bind`` leaves associated data aside, as those before 1.9 do."""
        self.token = token
        self.namespace = namespace
        self.binds = binds
        self.keys: dict[str, list[AESGCM]] = {"production-tool": [AESGCM(os.urandom(32))]}
        self.oldest = 1
        self.instead: list[tuple[int, Any]] = []
        self.asked: list[str] = []
        self.plain: list[bytes] = []

    def rotate(self, key: str = "production-tool") -> None:
        """Begin a new version of a key."""
        self.keys[key].append(AESGCM(os.urandom(32)))

    async def answer(self, request: web.Request) -> web.Response:
        """``POST /v1/transit/encrypt|decrypt/:name``."""
        self.asked.append(request.path)
        if self.instead:
            status, said = self.instead.pop(0)
            return web.Response(status=status, text=said if isinstance(said, str) else json.dumps(said))
        shown = request.headers.get("X-Vault-Token"), request.headers.get("X-Vault-Namespace")
        if shown != (self.token, self.namespace):
            return web.json_response({"errors": ["permission denied"]}, status=403)
        versions = self.keys.get(request.match_info["name"])
        if versions is None:
            return web.json_response({"errors": ["encryption key not found"]}, status=400)
        body = await request.json()
        bound = base64.b64decode(body.get("associated_data", "")) if self.binds else b""
        try:
            if request.match_info["what"] == "encrypt":
                return web.json_response({"data": self._encrypt(versions, body["plaintext"], bound)})
            return web.json_response({"data": self._decrypt(versions, body["ciphertext"], bound)})
        except (InvalidTag, binascii.Error, ValueError, IndexError):
            return web.json_response({"errors": ["cipher: message authentication failed"]}, status=400)

    def _encrypt(self, versions: list[AESGCM], plaintext: str, bound: bytes) -> dict[str, Any]:
        plain, nonce = base64.b64decode(plaintext, validate=True), os.urandom(12)
        self.plain.append(plain)
        sealed = base64.b64encode(nonce + versions[-1].encrypt(nonce, plain, bound)).decode()
        return {"ciphertext": f"vault:v{len(versions)}:{sealed}", "key_version": len(versions)}

    def _decrypt(self, versions: list[AESGCM], ciphertext: str, bound: bytes) -> dict[str, Any]:
        prefix, version, sealed = ciphertext.split(":")
        number = int(version.removeprefix("v"))
        if prefix != "vault" or not version.startswith("v") or number < self.oldest:
            raise ValueError
        raw = base64.b64decode(sealed, validate=True)
        return {"plaintext": base64.b64encode(versions[number - 1].decrypt(raw[:12], raw[12:], bound)).decode()}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; gives the base URL."""
        app = web.Application()
        app.router.add_post("/v1/transit/{what:encrypt|decrypt}/{name}", self.answer)
        async with TestServer(app) as server:
            yield str(server.make_url("/"))
