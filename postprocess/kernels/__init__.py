"""Compiled inner loops on integer picoseconds; each has a plain numpy reference in the tests."""
