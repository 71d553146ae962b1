"""Polarization controllers."""
