"""Ways to talk to an instrument: byte links over serial ports and TCP, and scripted ones for tests."""
