"""Hardware random sources."""
