"""Certificates: who is at the other end of a TLS connection, and a development authority to make some."""
