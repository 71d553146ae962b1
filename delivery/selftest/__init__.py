"""Tests that a site runs on itself before it hands out a key: known answers, random sources, installed files."""
