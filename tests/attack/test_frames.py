"""Garbage on a socket's wire: the one who sends it may be cut off; nobody else is, and the instance goes on."""

from contextlib import AsyncExitStack

import aiohttp
import pytest

from local_stack.clients.tenant import Tenant

CONNECT = "/socket.io/?EIO=4&transport=websocket"
LET_IN = '40{{"token":"{token}"}}'
GARBAGE: dict[str, list[str | bytes]] = {
    "nothing": [""],
    "no packet": ["x", "9", "\x00", "\N{SNOWMAN}"],
    "Engine.IO packets out of turn": ["0", "0{}", "1", "2probe", "5", "6"],
    "Socket.IO packets out of turn": ["40", "41", "44{}", '40{"token":1}', "40/admin,{}"],
    "broken JSON": ['42["auth:renew"', "42[", "42{}", "42[]", "42null", "421[]", '42["auth:renew",' + "[" * 5_000],
    "names that are none": ["42[1]", "42[null]", '42[["auth:renew"]]', '42["connect"]', '42["disconnect"]'],
    "acknowledgements nobody asked for": ["43[]", "430[]", "43999999999999999999[1]", '43x["a"]'],
    "ids beyond all numbers": ["42" + "9" * 5_000 + '["auth:renew",{}]', '42-1["auth:renew",{}]'],
    "attachments": ['451-["x",{"_placeholder":true,"num":0}]', '45999999999-["x"]', b"\x00\xff", b""],
    "hostile values": ['42["auth:renew",{"token":"\\ud800"}]', '42["auth:renew",1e999]', '42["auth:renew","\\u0000"]'],
    "too much": ["42" + "x" * 200_000],
}


@pytest.mark.parametrize("let_in", [True, False], ids=["let in", "not let in"])
@pytest.mark.parametrize("kind", GARBAGE)
async def test_it_harms_nobody_but_its_sender(
    kind: str,
    let_in: object,
    tenant: Tenant,
    session: aiohttp.ClientSession,
) -> None:
    async with AsyncExitStack() as stack:
        bystander = await stack.enter_async_context(tenant.watcher())
        for garbage in GARBAGE[kind]:
            wire = await stack.enter_async_context(session.ws_connect(tenant.at.notifications_urls[0] + CONNECT))
            assert (await wire.receive()).data.startswith("0")
            if let_in:
                await wire.send_str(LET_IN.format(token=tenant.token()))
                assert (await wire.receive()).data.startswith("40")
            await (wire.send_bytes(garbage) if isinstance(garbage, bytes) else wire.send_str(garbage))
        assert "expires_at" in await bystander.renew(tenant.token())
        await bystander.reached("booking", (await tenant.booking(await tenant.artist()))["position"])
        assert bystander.disconnects == []
