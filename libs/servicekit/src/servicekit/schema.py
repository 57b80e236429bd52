"""The tables that every owner of a stream has, and row-level security, as statements for a service's migrations.

``streams``   the head of each tenant's stream, when its last event was, how far it was published, and whether the
              tenant is deleted; holds no tenant data and has no RLS.
``events``    the event store (TDR-010), append-only.
``command_log``  each decided command with its outcome; what makes a redelivered command and a repeated
              ``Idempotency-Key`` harmless.
``audit``     the audit trail: an entry for each decided command, chained per tenant, for ever; where it ends stands in
              ``streams`` (``audited``, ``audited_digest``), and where it began (``audited_from``).
``leases``    who does a job that only one may do at a time.
``epoch``     names this history; a restore from backup gives it a new name.
"""

TENANT_POLICY = "tenant_id = any ((select nullif(current_setting('app.tenant_ids', true), '')::uuid[])::uuid[])"


def tenant_table(table: str, service_role: str, privileges: str) -> list[str]:
    """Force row-level security on a table with a ``tenant_id`` and let the serving role in, with these privileges."""
    return [
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy tenants_in_hand on {table} using ({TENANT_POLICY}) with check ({TENANT_POLICY})",
        f"grant {privileges} on {table} to {service_role}",
    ]


def add_traceparent() -> list[str]:
    """Let events say which trace caused them (W3C Trace Context): null where it was not recorded."""
    return ["alter table events add column traceparent text"]


def add_standing() -> list[str]:
    """Let streams say when their last event was (null: before this was kept), and whose tenant is deleted."""
    return [
        "alter table streams add column last_at timestamptz, add column deleted boolean not null default false",
    ]


def journal(service_role: str) -> list[str]:
    """Create the tables named above."""
    return [
        """
        create table streams (
            tenant_id uuid primary key,
            position bigint not null default 0,
            published bigint not null default 0,
            constraint published_is_stored check (published between 0 and position)
        ) with (fillfactor = 50)
        """,
        f"grant select, insert, update on streams to {service_role}",
        """
        create table events (
            id uuid primary key,
            aggregate_id uuid not null,
            event_type text not null,
            event_data jsonb not null,
            version integer not null,
            tenant_id uuid not null,
            created_at timestamptz not null default now(),
            position bigint not null,
            actor text not null,
            command_id uuid not null,
            constraint one_event_a_position unique (tenant_id, position),
            constraint one_event_a_version unique (tenant_id, aggregate_id, version)
        )
        """,
        *tenant_table("events", service_role, "select, insert"),
        """
        create table command_log (
            tenant_id uuid not null,
            command_id uuid not null,
            actor text not null,
            idempotency_key text,
            fingerprint text,
            status smallint not null,
            body json not null,
            position bigint not null,
            decided_at timestamptz not null,
            primary key (tenant_id, command_id)
        )
        """,
        """
        create unique index one_outcome_a_key on command_log (tenant_id, actor, idempotency_key)
        where idempotency_key is not null
        """,
        "create index command_log_age on command_log (tenant_id, decided_at)",
        *tenant_table("command_log", service_role, "select, insert, delete"),
        "create table leases (name text primary key, holder text not null, until timestamptz not null)",
        f"grant select, insert, update on leases to {service_role}",
        "create table epoch (one boolean primary key default true check (one), name uuid not null)",
        "insert into epoch (name) values (gen_random_uuid())",
        f"grant select on epoch to {service_role}",
    ]


def audit_trail(service_role: str) -> list[str]:
    """Create the audit trail, which begins where each tenant's stream stands.

    From then on an outcome says which entry is its own. One that says none comes from an instance of before: it is told
    to come again later (SQLSTATE 55000, an outage to it), so that nothing is decided unseen while versions change.
    """
    return [
        """
        create table audit (
            tenant_id uuid not null,
            sequence bigint not null,
            at timestamptz not null,
            actor text not null,
            role text,
            origin json,
            operation text not null,
            aggregate_id uuid,
            command_id uuid not null,
            data json,
            status smallint not null,
            outcome text not null,
            position bigint not null,
            events_digest bytea,
            digest bytea not null,
            primary key (tenant_id, sequence)
        )
        """,
        *tenant_table("audit", service_role, "select, insert"),
        """
        create function audit_is_for_ever() returns trigger language plpgsql as $$
        begin
            raise exception 'the audit trail is neither changed nor removed' using errcode = '42501';
        end $$
        """,
        """
        create trigger audit_is_for_ever before update or delete or truncate on audit
        for each statement execute function audit_is_for_ever()
        """,
        """
        alter table streams
            add column audited bigint not null default 0,
            add column audited_digest bytea,
            add column audited_from bigint not null default 0,
            add constraint audited_has_a_digest check ((audited = 0) = (audited_digest is null))
        """,
        "update streams set audited_from = position where position > 0",
        "alter table command_log add column audited bigint",
        """
        create function outcome_is_audited() returns trigger language plpgsql as $$
        begin
            raise exception 'this version writes no audit trail: it decides nothing any more' using errcode = '55000';
        end $$
        """,
        """
        create trigger outcome_is_audited before insert on command_log
        for each row when (new.audited is null) execute function outcome_is_audited()
        """,
    ]
