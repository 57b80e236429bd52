"""Where things are in this checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
"""The folder that holds the root pyproject.toml."""

LOCAL = ROOT / ".local"
"""What the local stack writes; git ignores it."""

DATA = LOCAL / "data"
"""What survives a restart: databases, topics, keys."""

RUN = LOCAL / "run"
"""What belongs to one run: logs, the lock, the state."""

LOGS = RUN / "logs"

KAFKA_JARS = LOCAL / "kafka" / "libs"
"""Apache Kafka and what it needs, fetched by `deploy/local/setup`."""
