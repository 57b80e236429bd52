"""Roles of a tenant's members, as Clerk names them, and what each may do."""

from enum import StrEnum


class Role(StrEnum):
    """A member's role in the organisation."""

    ADMIN = "org:admin"
    MEMBER = "org:member"
    VIEWER = "org:viewer"


class Permission(StrEnum):
    """What an operation needs."""

    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
    ROSTER_READ = "roster:read"
    ROSTER_WRITE = "roster:write"
    MEMBERS_READ = "members:read"
    TENANT_WRITE = "tenant:write"
    TENANT_DELETE = "tenant:delete"
    AUDIT_READ = "audit:read"


_READ = frozenset({Permission.BOOKINGS_READ, Permission.ROSTER_READ, Permission.MEMBERS_READ})
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.MEMBER: _READ | {Permission.BOOKINGS_WRITE},
    Role.VIEWER: _READ,
}


def may(role: Role, permission: Permission) -> bool:
    """Tell whether a role holds a permission."""
    return permission in GRANTS[role]
