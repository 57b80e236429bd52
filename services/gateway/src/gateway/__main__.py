"""``python -m gateway`` serves the gateway."""

from gateway.bootstrap import build
from gateway.settings import Settings
from servicekit import logs, tracing
from servicekit.secrets import load
from servicekit.server import serve


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings)
    logs.configure(settings, "gateway")
    tracing.configure("gateway", settings.instance)
    serve(build(settings), settings)


if __name__ == "__main__":
    main()
