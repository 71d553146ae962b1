"""What a site tells its operators: metrics for Prometheus, room on the disk, steps of the clock, lines of a log."""
