"""``python -m notifications``: serve."""

from notifications.bootstrap import Notifications
from notifications.settings import Settings
from servicekit import logs, server, tracing


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = Settings()
    logs.configure(settings, "notifications")
    tracing.configure("notifications", settings.instance)
    service = Notifications(settings)
    server.serve(service.app, settings, websockets=True, farewell=service.send_away)


if __name__ == "__main__":
    main()
