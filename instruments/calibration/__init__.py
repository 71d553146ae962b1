"""Calibration routines over roles: the same code on mocks, emulators and hardware, each run a record."""
