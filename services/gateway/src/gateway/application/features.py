"""Features that are on for some tenants: each is declared here, with what it is where PostHog does not say."""

from typing import Final

from servicekit.product import Flag

PAGE_LINKS: Final = Flag(
    name="page-links",
    default=False,
    description="Lists answer with a header `Link` to their next page (RFC 8288), beside `next_cursor`",
)

FLAGS: Final = (PAGE_LINKS,)
