"""Adapters: Kafka, Redis, the owning services and ciphers behind the application's ports."""
