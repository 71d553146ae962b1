"""Calibrations as data: what one routine measured, fitted, required and decided, and the file that keeps it."""
