"""Emulated instruments: they answer the real bytes over real transports, on the physics bench of the mocks."""
