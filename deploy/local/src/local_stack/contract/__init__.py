"""What is made from the contracts (documents, releases), and whether a change of them breaks anybody."""
