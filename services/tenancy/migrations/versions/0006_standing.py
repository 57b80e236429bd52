"""Streams know when their last event was, and whose tenant is deleted.

Why: the next event is never earlier than the last, whichever instance decides it; and a deleted tenant is refused for
good, by a row that is read anyway, and not only for as long as removals are kept in memory. Tenants deleted before this
are marked here, one at a time, as row-level security binds the owner too; there may be none.
"""

from alembic import op
from sqlalchemy import text

from servicekit.schema import add_standing

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = text("select set_config('app.tenant_ids', :tenants, true)")
MARK = text("""
    update streams set deleted = true where tenant_id = :tenant
    and exists (select from tenants where tenants.tenant_id = :tenant and status = 'deleted')
""")


def upgrade() -> None:
    """Add the columns and mark the tenants that are deleted."""
    for statement in add_standing():
        op.execute(statement)
    connection = op.get_bind()
    for tenant in connection.execute(text("select tenant_id from streams order by tenant_id")).scalars().all():
        connection.execute(OPEN, {"tenants": f"{{{tenant}}}"})
        connection.execute(MARK, {"tenant": tenant})
    connection.execute(OPEN, {"tenants": ""})


def downgrade() -> None:
    """Refuse: this would forget which tenants are deleted, and let them in again."""
    message = "deleted tenants are not taken back: restore a backup instead"
    raise RuntimeError(message)
