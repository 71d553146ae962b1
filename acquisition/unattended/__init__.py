"""Keep a link running without an operator: runs after runs, recalibration before an alarm, and a watchdog."""
