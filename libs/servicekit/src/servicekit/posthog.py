"""PostHog: what happened goes there through a bounded queue and a thread, flags come from there to be evaluated here.

Nothing waits for it. An event that finds the queue full is dropped, one that can't be delivered is lost, and both are
counted. Definitions of flags are fetched in the background, and asked for anew every `posthog_poll_seconds`; in between
and through an outage those of before hold. What they don't say, or can't without asking PostHog (a property of a group
that we do not send, a cohort of people), is as the flag's default.

Who is behind a tenant or a pseudonym PostHog is not told. No profile of a person is made, nothing is looked up by an
address, and an event passes an allow-list on its way out.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from posthog import Posthog
from prometheus_client import Counter

from servicekit.product import FLAGS, GROUP, Defaults, Flag
from servicekit.settings import ProductSettings

QUEUED: Final = 1_000
"""Events that wait to be sent; one more is dropped."""
BATCH: Final = 100
FLUSH_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 10
RETRIES: Final = 2
FAREWELL_SECONDS: Final = 2.0
"""How long a shutdown waits for what is not sent yet."""

_SENT_ALONG: Final = frozenset(
    {"$groups", "$process_person_profile", "$geoip_disable", "$is_server", "$lib", "$lib_version"}
)
"""What the client adds that may be told; the rest is about our machines."""
_LOGGERS: Final = ("posthog", "urllib3.connectionpool")
"""They write addresses, with the project's key in them."""

EVENTS: Final = Counter("product_events", "Events for PostHog, by what became of them", ("result",))


class PostHog:
    """A `product.Product` at PostHog."""

    def __init__(self, settings: ProductSettings, key: str, defaults: Defaults) -> None:
        """Tell the project of ``key``; nothing is begun yet."""
        self._settings = settings
        self._key = key
        self._defaults = defaults
        self._masked = _Masked([key, settings.posthog_flags_key or key])
        self._client: Posthog | None = None

    async def start(self) -> None:
        """Begin to send, and to fetch definitions of flags where there is a key for them."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._masked)
        self._client = Posthog(
            self._key,
            host=self._settings.posthog_host,
            secret_key=self._settings.posthog_flags_key,
            poll_interval=self._settings.posthog_poll_seconds,
            max_queue_size=QUEUED,
            flush_at=BATCH,
            flush_interval=FLUSH_SECONDS,
            timeout=TIMEOUT_SECONDS,
            max_retries=RETRIES,
            gzip=True,
            on_error=_lost,
            before_send=_allowed,
            disable_geoip=True,
            capture_mode="v0",
        )
        if self._settings.posthog_flags_key is not None:
            threading.Thread(target=self._fetch, args=(self._client,), name="product-flags", daemon=True).start()

    async def stop(self) -> None:
        """Send what waits; whatever is not gone within `FAREWELL_SECONDS` is left to a thread that ends with us."""
        client, self._client = self._client, None
        if client is not None:
            ending = threading.Thread(target=client.shutdown, name="product-stop", daemon=True)
            ending.start()
            await asyncio.to_thread(ending.join, FAREWELL_SECONDS)

    def _fetch(self, client: Posthog) -> None:
        """Fetch definitions of flags, and let the client go on with that; not if we were stopped meanwhile."""
        client.load_feature_flags()  # type: ignore[no-untyped-call]  # it is typed in part
        if self._client is not client and client.poller is not None:
            client.poller.stopped.set()

    def tell(self, event: str, *, tenant_id: UUID, person: str, properties: Mapping[str, str]) -> None:
        """Put an event into the queue; see `product.Product`."""
        queued = None
        if self._client is not None and not self._client.queue.full():  # full, the client would log each by itself
            queued = self._client.capture(
                event,
                distinct_id=person,
                properties={**properties, "$process_person_profile": False},
                groups={GROUP: str(tenant_id)},
            )
        EVENTS.labels("dropped" if queued is None else "queued").inc()

    def enabled(self, flag: Flag, tenant_id: UUID) -> bool:
        """Evaluate a flag here; see `product.Product`."""
        said = self._evaluate(flag.name, str(tenant_id))
        if said is None:
            return self._defaults.of(flag)
        FLAGS.labels(flag.name, "posthog").inc()
        return said

    def _evaluate(self, name: str, tenant_id: str) -> bool | None:
        if self._client is None or self._client.feature_flags is None:  # asked before it has any, it would fetch them
            return None
        found = self._client.get_all_flags(
            tenant_id,  # whatever is rolled out to a part of all people is rolled out to a part of all tenants
            groups={GROUP: tenant_id},
            only_evaluate_locally=True,
            flag_keys_to_evaluate=[name],
        )
        value = (found or {}).get(name)
        return None if value is None else value is not False


class _Masked(logging.Filter):
    """Takes keys out of what is logged."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self._keys = keys

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        for key in self._keys:
            message = message.replace(key, "(key)")
        record.msg, record.args = message, ()
        return True


def _allowed(event: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in event["properties"].items() if name[0] != "$" or name in _SENT_ALONG}
    return {name: event[name] for name in ("event", "distinct_id", "timestamp", "uuid")} | {"properties": kept}


def _lost(_error: Exception, batch: list[dict[str, Any]]) -> None:
    EVENTS.labels("lost").inc(len(batch))
