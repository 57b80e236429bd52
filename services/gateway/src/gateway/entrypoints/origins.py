"""From where a request came: for the audit trail."""

from typing import Final

from starlette.requests import Request

from production_contracts.audit import LONGEST_ADDRESS, LONGEST_AGENT, CallOrigin

API: Final = "api"
WEBHOOK: Final = "webhook"
_INSTEAD: Final = "?"


def origin(request: Request, channel: str = API) -> CallOrigin:
    """Tell it: the address of who has connected, or whom a proxy that we trust names, and what it says it is."""
    address = None if request.client is None else _printable(request.client.host, LONGEST_ADDRESS)
    agent = request.headers.get("user-agent")
    return CallOrigin(
        channel=channel, address=address or None, agent=None if agent is None else _printable(agent, LONGEST_AGENT)
    )


def _printable(text: str, longest: int) -> str:
    """Cut what somebody else wrote, and leave nothing in it that a terminal or a log would obey."""
    return "".join(letter if " " <= letter <= "~" else _INSTEAD for letter in text[:longest])
