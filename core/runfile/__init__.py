"""The one definition of the run file: schema, writer, reader, recovery."""
