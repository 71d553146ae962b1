"""Role test suites that a driver's own tests subclass; needs pytest."""
