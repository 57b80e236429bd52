"""What a booking is and what may become of it: pure, no clock, no I/O, the standard library only."""
