"""The baseline of requests: one FastAPI service on SQLAlchemy and asyncpg, one transaction a request, no Kafka.

It makes the same checks as we do (token verification, roles, rate limits, strict bodies, artists, overlaps), writes the
same tables under the same policies (stream, booking, event, command log), and answers the same. It does less: nothing
is published, nobody is removed, no metrics are kept. Each core runs one of it, on a port of its own.
"""
