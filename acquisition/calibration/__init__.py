"""Calibrations that need the recovered clock, the order of all routines, and a whole bring-up."""
