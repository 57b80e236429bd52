"""The application: takes orders, reads, and keeps sensitive fields sealed; knows the outside by its ports."""
