"""Statistics of a run as snapshots: made of its files or its status, and sent to viewers in other processes."""
