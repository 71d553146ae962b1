"""What existing IT sees of the keys. Empty until the key management entity arrives."""
