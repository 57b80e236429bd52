"""What schemathesis does not send, and why."""

from typing import Any

import schemathesis

UNKNOWN_HEADER = "x-schemathesis-unknown-property"


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:  # noqa: ANN401 - as schemathesis calls it
    """Leave out two kinds of requests.

    - One with a header that nobody knows, which schemathesis wants refused: in HTTP any header may come along.
    - One that names a position which its tenant has not reached: it is answered `unavailable`, as told, where
      schemathesis takes every 503 for a fault. The journeys look at it.

    A tenant is deleted only for who confirms with its id, which no generator guesses.
    """
    headers = case.headers or {}
    position = str(headers.get("Min-Position", "0"))
    return UNKNOWN_HEADER not in headers and not (position.isdigit() and int(position) > 0)
