"""A whole network on one machine: simulated over hours, or three real sites for a minute."""
