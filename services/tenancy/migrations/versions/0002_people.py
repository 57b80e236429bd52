"""Members, invitations and people; what Clerk says of a tenant.

Why: Clerk's webhooks tell who belongs to a tenant, and a tenant's names and end. Each row keeps ``as_of``, the
provider's own time of what it holds, so that facts count in their order and not in that of their arrival; who was
removed and what was deleted stays as a tombstone. ``people`` is the one table with names and addresses, sealed; its
``tenant_id`` is the person's own id, so that row-level security opens exactly the people that a transaction names.
Tenants change now, so the serving role may update them. Existing rows need nothing but the defaults.
"""

from alembic import op

from servicekit.schema import tenant_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SERVICE_ROLE = "tenancy_service"

TENANTS = [
    """
    alter table tenants
        add column org_id text,
        add column name text,
        add column slug text,
        add column status text not null default 'active',
        add column as_of timestamptz,
        add column updated_at timestamptz,
        add constraint status_is_known check (status in ('active', 'deleted'))
    """,
    f"grant update on tenants to {SERVICE_ROLE}",
]

MEMBERS = """
create table members (
    tenant_id uuid not null,
    id text collate "C" not null,
    role text,
    status text not null,
    as_of timestamptz not null,
    joined_at timestamptz,
    removed_at timestamptz,
    version integer not null,
    position bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    constraint status_is_known check (status in ('active', 'removed')),
    constraint removed_has_its_time check ((status = 'removed') = (removed_at is not null))
)
"""

INVITATIONS = """
create table invitations (
    tenant_id uuid not null,
    id text collate "C" not null,
    role text,
    status text not null,
    as_of timestamptz not null,
    version integer not null,
    position bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    constraint status_is_known check (status in ('pending', 'accepted', 'revoked'))
)
"""

PEOPLE = """
create table people (
    tenant_id uuid primary key,
    name json,
    name_as_of timestamptz,
    email json,
    email_as_of timestamptz,
    forgotten boolean not null default false,
    constraint forgotten_is_empty check (not forgotten or (name is null and email is null))
)
"""


def upgrade() -> None:
    """Add the tables and columns."""
    statements = [
        *TENANTS,
        MEMBERS,
        *tenant_table("members", SERVICE_ROLE, "select, insert, update, delete"),
        INVITATIONS,
        *tenant_table("invitations", SERVICE_ROLE, "select, insert, update, delete"),
        PEOPLE,
        *tenant_table("people", SERVICE_ROLE, "select, insert, update"),
    ]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: this would drop who belongs to whom, and let those removed in again."""
    message = "members are not taken back: restore a backup instead"
    raise RuntimeError(message)
