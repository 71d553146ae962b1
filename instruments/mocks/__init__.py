"""Mock instruments on one seeded physics bench; they enter only by dotted name in a station file."""
