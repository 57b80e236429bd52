"""PostgreSQL, Redis, Kafka, the services and a token issuer on a developer's machine."""
