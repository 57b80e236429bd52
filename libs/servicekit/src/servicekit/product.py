"""What tenants do with the product, and features that are switched on for some of them: with PostHog, or without.

A service says what happened, and asks whether a feature is on; neither waits for anything, and neither can fail::

    PAGE_LINKS = Flag(name="page-links", default=False, description="...")

    product.tell("command decided", tenant_id=tenant, person=pseudonym, properties={"outcome": "accepted"})
    if product.enabled(PAGE_LINKS, tenant): ...

Without a key nothing is told, every flag is as its default says, and no client of PostHog is imported
(`servicekit.posthog`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from prometheus_client import Counter

from servicekit.settings import ProductSettings

GROUP: Final = "tenant"
"""The type of group that a tenant is at PostHog; its key is the tenant's id."""

FLAGS: Final = Counter("product_flags", "Flags asked for, by who said what they are", ("flag", "source"))


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A feature that is on for some tenants. ``default`` holds wherever PostHog does not say otherwise."""

    name: str
    default: bool
    description: str


class Product(Protocol):
    """Who is told, and asked."""

    def tell(self, event: str, *, tenant_id: UUID, person: str, properties: Mapping[str, str]) -> None:
        """Tell that something happened; ``person`` is a pseudonym, and no property says who or what was written."""
        ...

    def enabled(self, flag: Flag, tenant_id: UUID) -> bool:
        """Tell whether a feature is on for a tenant, as far as is known in this moment."""
        ...

    async def start(self) -> None:
        """Begin; waits for nothing."""
        ...

    async def stop(self) -> None:
        """Send what waits, for a short while."""
        ...


class Defaults:
    """What flags are where nobody says otherwise: as the code declares them, or the settings instead."""

    def __init__(self, stated: Mapping[str, bool]) -> None:
        """Let ``stated`` count before what the code declares."""
        self._stated = stated

    def of(self, flag: Flag) -> bool:
        """Give a flag's default."""
        FLAGS.labels(flag.name, "default").inc()
        return self._stated.get(flag.name, flag.default)


class Silent:
    """Tells nobody; every flag is as its default says."""

    def __init__(self, defaults: Defaults) -> None:
        """Answer with ``defaults``."""
        self._defaults = defaults

    def tell(self, event: str, *, tenant_id: UUID, person: str, properties: Mapping[str, str]) -> None:
        """Do nothing."""

    def enabled(self, flag: Flag, tenant_id: UUID) -> bool:
        """Give the default."""
        del tenant_id
        return self._defaults.of(flag)

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


def of(settings: ProductSettings) -> Product:
    """Make what the settings ask for."""
    defaults = Defaults(settings.flags)
    if settings.posthog_key is None:
        return Silent(defaults)
    from servicekit.posthog import PostHog  # noqa: PLC0415 - its memory and its time at the start are paid where used

    return PostHog(settings, settings.posthog_key, defaults)
