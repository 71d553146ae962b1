"""Reanalysis: recorded runs with changed parameters, one against another, and many at once."""
