"""The documentation as a test: its blocks run, its numbers are shown by tests that exist."""
