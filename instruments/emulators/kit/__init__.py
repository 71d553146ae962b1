"""The kit that emulated instruments are made of: servers, SCPI parser, faults."""
