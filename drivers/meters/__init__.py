"""Optical power meters."""
