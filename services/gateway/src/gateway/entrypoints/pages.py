"""Pages of lists: for tenants for whom `page-links` is on, with a ``Link`` to the next one (RFC 8288)."""

from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.application.features import PAGE_LINKS
from gateway.application.reader import Found
from gateway.entrypoints import answers
from servicekit.product import Product
from servicekit.tokens import Principal


class Pages:
    """Answers with pages of a list."""

    def __init__(self, product: Product) -> None:
        """Ask ``product`` for whom links are on."""
        self._product = product

    def answer(self, request: Request, principal: Principal, found: Found) -> Response:
        """Answer with what was found."""
        answer = answers.content(request, found)
        if self._product.enabled(PAGE_LINKS, principal.tenant_id) and (cursor := _next_cursor(found)):
            # A reference to the same path with another query holds behind any proxy (RFC 3986, section 4.2).
            query = {**request.query_params, "cursor": cursor}
            answer.headers["Link"] = f'<?{urlencode(query)}>; rel="next"'
        return answer


def _next_cursor(found: Found) -> str | None:
    cursor: str | None = orjson.loads(found.body).get("next_cursor")
    return cursor
