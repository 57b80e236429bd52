"""What a tenant and its artists are and what may become of them: pure, no clock, no I/O, the standard library only."""
