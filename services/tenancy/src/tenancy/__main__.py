"""``python -m tenancy``: the service, and its jobs."""

import sys

from servicekit.command_line import run
from tenancy.application.projection import TenancyProjection
from tenancy.bootstrap import make_app
from tenancy.settings import Settings

if __name__ == "__main__":
    sys.exit(run("tenancy", Settings(), make_app, TenancyProjection()))
