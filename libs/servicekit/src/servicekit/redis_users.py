"""The file of users that Redis is started with (``aclfile``), from the table of the contracts."""

import hashlib
from collections.abc import Mapping

from production_contracts.redis_users import ADMIN, REDIS_USERS


class UnknownUserError(Exception):
    """A password is given for a name that is not in the table."""


def acl_file(passwords: Mapping[str, str]) -> str:
    """Write the file: each user of the table with its rights, `ADMIN` with all of them, and `default` off.

    A user without a password here is off. The file holds SHA-256 digests, as Redis keeps passwords; so a password is
    random and long, or it can be guessed from the file.

    Raises:
        UnknownUserError: a password is for nobody in the table.
    """
    unknown = passwords.keys() - {ADMIN, *(user.name for user in REDIS_USERS)}
    if unknown:
        message = f"not in production_contracts.redis_users: {', '.join(sorted(unknown))}"
        raise UnknownUserError(message)
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines += [f"user {user.name} {_login(passwords.get(user.name))} {' '.join(user.rules)}" for user in REDIS_USERS]
    lines.append(f"user {ADMIN} {_login(passwords.get(ADMIN))} ~* &* +@all")
    return "\n".join(lines) + "\n"


def _login(password: str | None) -> str:
    if password is None:
        return "off resetpass"
    return f"on resetpass #{hashlib.sha256(password.encode()).hexdigest()}"
