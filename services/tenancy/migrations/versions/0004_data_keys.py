"""Data keys, wrapped: one that is current for each tenant and person, and those of before.

Why: a key for each tenant makes deleting it the end of all that it has sealed, wherever that was copied to. They are
kept here because tenancy decides who is deleted: the keys go in the transaction of the decision. As with ``people``,
a person's ``tenant_id`` is the person's own id. The service never sees a key in clear: it holds no master key.
"""

from alembic import op

from servicekit.schema import tenant_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERVICE_ROLE = "tenancy_service"

DATA_KEYS = [
    """
    create table data_keys (
        tenant_id uuid not null,
        kid text collate "C" not null,
        master text not null,
        wrapped text not null,
        current boolean not null,
        created_at timestamptz not null default now(),
        primary key (tenant_id, kid)
    )
    """,
    "create unique index one_current_key on data_keys (tenant_id) where current",
]


def upgrade() -> None:
    """Add the table; keys are made when they are first needed."""
    for statement in (*DATA_KEYS, *tenant_table("data_keys", SERVICE_ROLE, "select, insert, update, delete")):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: this would destroy every key, and with them all that is sealed."""
    message = "data keys are not taken back: restore a backup instead"
    raise RuntimeError(message)
