"""The page of Kafka's principals: who may do what, from the contracts."""

from typing import Final

from pages.markdown import code, table
from production_contracts.principals import ANY, PRINCIPALS, PROVISIONING

_HEAD: Final = f"""\
# Principals of Kafka

Who may do what on Kafka. The broker denies what does not stand here; a job makes its ACLs from this same table
(`production_contracts.principals`), and a test tries every pair against a real broker. Besides these there are two that
no ACL binds: the broker itself, and `{PROVISIONING}`, the job that creates topics and gives rights. `{ANY}` stands for
any ending.

"""


def page() -> str:
    """Make the page."""
    rows = ((code(p.name), _list(p.reads), _list(p.writes), _list(p.groups), _list(p.transactions)) for p in PRINCIPALS)
    return _HEAD + table(("principal", "reads", "writes", "groups", "transactional ids"), rows)


def _list(names: tuple[str, ...]) -> str:
    return "<br>".join(map(code, names)) or "none"
