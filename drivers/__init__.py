"""One class per instrument: physical units in, bytes out. No physics and no simulation branches."""
