"""The reference of metrics says what the code has: each metric, its type, its labels; and names follow the rule."""

import re
from pathlib import Path

from local_stack.observability.exports import exports

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>[^|]+) \| [^|]{10,} \| [^|]{5,} \|")
SUBJECTS = (
    *("http", "health", "consumer", "producer", "commands", "events", "relay", "removals", "keyring", "product"),
    *("gateway", "notifications"),
)
PERSONAL = {"tenant", "tenant_id", "user", "sub", "org", "id", "artist", "booking_id", "path"}

Described = dict[str, tuple[str, tuple[str, ...]]]


def in_code() -> Described:
    """Name every metric of the services, as it is exposed."""
    return {name: (one.kind, one.labels) for name, one in exports().items()}


def in_the_page() -> Described:
    rows = [ROW.fullmatch(line) for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert all(rows), "each row has a name, a type, labels, what it says and when to worry"
    return {row["name"]: (row["type"], tuple(re.findall(r"`(\w+)`", row["labels"]))) for row in rows if row is not None}


def test_the_page_has_each_metric_with_its_type_and_labels() -> None:
    assert in_the_page() == in_code()


def test_names_follow_one_rule_and_no_label_names_anybody() -> None:
    for name, (kind, labels) in in_code().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.split("_")[0] in SUBJECTS, name
        assert name.endswith("_total") == (kind == "counter"), name
        assert not name.endswith(("_ms", "_millis", "_minutes")), name
        assert kind != "histogram" or name.endswith(("_seconds", "_records")), name
        assert not set(labels) & PERSONAL, name
