"""Commands of key delivery."""
