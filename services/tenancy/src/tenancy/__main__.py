"""``python -m tenancy``: the service, and its jobs."""

import asyncio
import sys

from servicekit.command_line import Job, run
from servicekit.secrets import load
from tenancy import bootstrap
from tenancy.adapters.clerk import ClerkError
from tenancy.application.projection import TenancyProjection
from tenancy.settings import Settings


def reconcile(settings: Settings) -> int:
    """Mend what webhooks missed, and tell what was mended; 1 where Clerk can't be asked."""
    if settings.clerk_secret_key is None:
        print("TENANCY_CLERK_SECRET_KEY is not set: Clerk is not asked without it", file=sys.stderr)
        return 1
    try:
        summary = asyncio.run(bootstrap.reconcile(settings, settings.clerk_secret_key))
    except ClerkError as error:
        print(f"Clerk can't be asked: {error}; what was mended before stays mended", file=sys.stderr)
        return 1
    print("\n".join(summary.lines()))
    return 0


RECONCILE = Job[Settings](
    name="reconcile", help="compare with Clerk's Backend API, and mend what webhooks missed", run=reconcile
)

if __name__ == "__main__":
    sys.exit(run("tenancy", load(Settings), bootstrap.make_app, TenancyProjection(), own_jobs=[RECONCILE]))
