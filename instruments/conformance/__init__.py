"""Test suites for each role, shipped so that drivers from elsewhere can subclass them."""
