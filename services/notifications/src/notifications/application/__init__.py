"""What the service does: who is let in, hubs that hand events on, histories that fill gaps."""
