"""What two sites tell each other about keys, so that both agree on each one before either hands it out."""
