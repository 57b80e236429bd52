"""``python -m notifications``: serve, or decide on dead letters."""

import argparse
import sys

from notifications.bootstrap import Notifications
from notifications.settings import Settings
from production_contracts.topics import BOOKING_EVENTS, TENANCY_EVENTS
from servicekit import logs, server, tracing
from servicekit.deadletters import command_line as deadletters
from servicekit.secrets import load


def main() -> int:
    """Serve until SIGTERM or SIGINT, or do the job that is named; 0 where it is done."""
    parser = argparse.ArgumentParser(prog="python -m notifications")
    todo = parser.add_subparsers(dest="job", metavar="job")
    todo.add_parser("serve", help="serve (what happens where no job is named)")
    deadletters.add_arguments(todo.add_parser(deadletters.JOB, help=deadletters.HELP))
    asked = parser.parse_args()
    settings = load(Settings)
    if asked.job == deadletters.JOB:
        return deadletters.run(asked, settings, service="notifications", topics=[BOOKING_EVENTS, TENANCY_EVENTS])
    logs.configure(settings, "notifications")
    tracing.configure("notifications", settings.instance)
    service = Notifications(settings)
    server.serve(service.app, settings, websockets=True, farewell=service.send_away)
    return 0


if __name__ == "__main__":
    sys.exit(main())
