"""The page of Redis' users: who may do what, from the contracts."""

from typing import Final

from pages.markdown import code, table
from production_contracts.redis_users import ADMIN, ANY, REDIS_USERS

_HEAD: Final = f"""\
# Users of Redis

Who may do what in Redis. The file of users is made from this same table (`production_contracts.redis_users`), and a
test tries every command, key and channel on a real Redis. A script sends no command that its user may not send. The
user `default`, as whom everybody comes who does not log in, is off. Beside these stands `{ADMIN}`, an operator's, whom
nothing is denied and whose password no service has. `{ANY}` stands for any ending.

"""


def page() -> str:
    """Make the page."""
    rows = ((code(user.name), _list(user.keys), _list(user.channels), _list(user.commands)) for user in REDIS_USERS)
    return _HEAD + table(("user", "keys", "channels", "commands"), rows)


def _list(names: tuple[str, ...]) -> str:
    return "<br>".join(map(code, names)) or "none"
