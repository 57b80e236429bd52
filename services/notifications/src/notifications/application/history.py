"""What happened past a position: from the recent events where they are whole, else from the stream's owner."""

from uuid import UUID

from prometheus_client import Counter

from notifications.application.ports import Owners, Recent, RecentUnavailableError
from notifications.domain.positions import LiveEvent, run

PAGES = Counter("notifications_history_pages", "Pages of missed events that were read", ["source"])


class History:
    """The history of every tenant's streams."""

    def __init__(self, recent: Recent, owners: Owners) -> None:
        """Read from ``recent``, and from ``owners`` what is not whole there."""
        self._recent = recent
        self._owners = owners

    async def after(self, tenant_id: UUID, stream: str, position: int, token: str) -> list[LiveEvent]:
        """Read the events that follow a position without a hole, up to a page; none: there are none yet.

        ``token`` is of somebody of this tenant, for the owner.

        Raises:
            ProblemError: the owner was needed and did not answer, or refused.
        """
        try:
            found = list(run(position, await self._recent.after(tenant_id, stream, position)))
        except RecentUnavailableError:
            found = []
        if found:
            PAGES.labels("recent").inc()
            return found
        PAGES.labels("owner").inc()
        return list(run(position, await self._owners.after(stream, position, token)))
