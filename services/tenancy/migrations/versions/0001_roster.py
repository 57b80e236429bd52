"""The roster: the journal, the tenants and their artists as projections of the events.

Why: the first schema. ``name`` collates by code point, so that its order does not change with the system's library.
"""

from alembic import op

from servicekit.schema import journal, tenant_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICE_ROLE = "tenancy_service"

TENANTS = """
create table tenants (
    tenant_id uuid primary key,
    version integer not null,
    position bigint not null,
    created_at timestamptz not null
)
"""

ARTISTS = """
create table artists (
    tenant_id uuid not null,
    id uuid not null,
    name text collate "C" not null,
    time_zone text,
    status text not null,
    version integer not null,
    position bigint not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    constraint status_is_known check (status in ('active', 'archived'))
)
"""

ARTISTS_BY_NAME = "create index artists_by_name on artists (tenant_id, name, id)"


def upgrade() -> None:
    """Create the schema."""
    statements = [
        *journal(SERVICE_ROLE),
        TENANTS,
        *tenant_table("tenants", SERVICE_ROLE, "select, insert, delete"),
        ARTISTS,
        ARTISTS_BY_NAME,
        *tenant_table("artists", SERVICE_ROLE, "select, insert, update, delete"),
    ]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: this would drop every roster."""
    message = "the first migration is not taken back: drop the database instead"
    raise RuntimeError(message)
