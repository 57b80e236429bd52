"""Entrypoints: what can come in over HTTP."""
