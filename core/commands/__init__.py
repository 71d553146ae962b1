"""Commands that need only files."""
