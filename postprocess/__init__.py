"""From a run file to keys: pure, deterministic stages without hardware imports."""
