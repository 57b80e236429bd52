"""``python -m tenancy``: the service, and its jobs."""

import argparse
import asyncio
import sys

from servicekit.command_line import Job, run
from servicekit.keyring import KeysAwayError
from servicekit.secrets import load
from tenancy import bootstrap
from tenancy.adapters.clerk import ClerkError
from tenancy.application.projection import TenancyProjection
from tenancy.entrypoints.command_line import export
from tenancy.entrypoints.command_line.rotation import KEYS
from tenancy.settings import Settings


def reconcile(settings: Settings, _: argparse.Namespace) -> int:
    """Mend what webhooks missed, and tell what was mended; 1 where Clerk can't be asked."""
    if settings.clerk_secret_key is None:
        print("TENANCY_CLERK_SECRET_KEY is not set: Clerk is not asked without it", file=sys.stderr)
        return 1
    try:
        summary = asyncio.run(bootstrap.reconcile(settings, settings.clerk_secret_key))
    except ClerkError as error:
        print(f"Clerk can't be asked: {error}; what was mended before stays mended", file=sys.stderr)
        return 1
    except KeysAwayError as error:
        print(f"a master key can't be asked: {error}; what was mended before stays mended", file=sys.stderr)
        return 1
    print("\n".join(summary.lines()))
    return 0


RECONCILE = Job[Settings](
    name="reconcile", help="compare with Clerk's Backend API, and mend what webhooks missed", run=reconcile
)

EXPORT = Job[Settings](name=export.JOB, help=export.HELP, run=lambda _, __: export.export(sys.argv[2:]))


def main() -> int:
    """Do what the command line asks."""
    if sys.argv[1:2] == [export.JOB]:  # before the settings, none of which it needs
        return export.export(sys.argv[2:])
    return run("tenancy", load(Settings), bootstrap.make_app, TenancyProjection(), own_jobs=[RECONCILE, KEYS, EXPORT])


if __name__ == "__main__":
    sys.exit(main())
