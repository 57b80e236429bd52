"""What can come in: events from Kafka, and what sockets send."""
