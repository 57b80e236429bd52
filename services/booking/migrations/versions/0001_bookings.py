"""Bookings: the journal, the projection that decides, and the roster as booking knows it.

Why: the first schema. ``no_double_booking`` and the two indexes ``idx_bookings_*`` stand as TDR-008 and the record's
indexing strategy write them. ``bookings_slots`` carries the look-up of neighbours: two probes of it find what is in
the way of a range, under row-level security, where ``&&`` is no index condition.
"""

from alembic import op

from servicekit.schema import journal, tenant_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICE_ROLE = "booking_service"

BOOKINGS = """
create table bookings (
    tenant_id uuid not null,
    id uuid not null,
    artist_id uuid not null,
    start_time timestamptz not null,
    end_time timestamptz not null,
    status text not null,
    title text not null,
    venue text,
    notes json,
    version integer not null,
    position bigint not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    constraint status_is_known check (status in ('pencil', 'confirmed', 'cancelled')),
    constraint starts_before_it_ends check (start_time < end_time)
)
"""

NO_DOUBLE_BOOKING = """
ALTER TABLE bookings
ADD CONSTRAINT no_double_booking
EXCLUDE USING gist (
  tenant_id WITH =,
  artist_id WITH =,
  tstzrange(start_time, end_time, '[)') WITH &&
) WHERE (status IN ('confirmed', 'pencil'))
"""

INDEXES = [
    "CREATE INDEX idx_bookings_tenant_time ON bookings (tenant_id, start_time)",
    "CREATE INDEX idx_bookings_artist_status ON bookings (artist_id, status) WHERE status IN ('confirmed', 'pencil')",
    "create index bookings_slots on bookings (artist_id, start_time) where status in ('confirmed', 'pencil')",
]

ARTISTS = """
create table artists (
    tenant_id uuid not null,
    id uuid not null,
    status text not null,
    time_zone text,
    version integer not null,
    primary key (tenant_id, id)
)
"""

ROSTER_OFFSETS = """
create table roster_offsets (
    partition integer primary key,
    next_offset bigint not null
)
"""


def upgrade() -> None:
    """Create the schema."""
    statements = [
        *journal(SERVICE_ROLE),
        BOOKINGS,
        NO_DOUBLE_BOOKING,
        *INDEXES,
        *tenant_table("bookings", SERVICE_ROLE, "select, insert, update, delete"),
        ARTISTS,
        *tenant_table("artists", SERVICE_ROLE, "select, insert, update"),
        ROSTER_OFFSETS,
        f"grant select, insert, update on roster_offsets to {SERVICE_ROLE}",
    ]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: this would drop every booking."""
    message = "the first migration is not taken back: drop the database instead"
    raise RuntimeError(message)
