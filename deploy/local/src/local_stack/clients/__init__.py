"""Clients of the running system as anybody could write them: HTTP, a socket, the topics. Demo and journeys use them."""
