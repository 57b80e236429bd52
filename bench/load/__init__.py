"""A load generator that costs little: HTTP/1.1 by hand on uvloop, in a process of its own."""
