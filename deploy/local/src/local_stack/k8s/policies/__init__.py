"""What every rendering is held to, beside its schemas: each policy gives what it finds."""
