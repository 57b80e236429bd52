"""Where things are in this checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
"""The folder that holds the root pyproject.toml."""

LOCAL = Path(os.environ.get("STACK_FOLDER") or ROOT / ".local").absolute()
"""What a run of the local stack writes; git ignores it."""

DATA = LOCAL / "data"
"""What survives a restart: databases, topics, keys."""

RUN = LOCAL / "run"
"""What belongs to one run: logs, the lock, the state."""

LOGS = RUN / "logs"

KAFKA_JARS = ROOT / ".local" / "kafka" / "libs"
"""Apache Kafka and what it needs, fetched by `deploy/local/setup`."""
