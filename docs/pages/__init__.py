"""Pages of the documentation that are made from the code, a module each; what they share is in `markdown`."""
