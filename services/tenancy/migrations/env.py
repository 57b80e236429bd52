"""Alembic's entry: everything is in servicekit."""

from servicekit.migrate import run

run()
