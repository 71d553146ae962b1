"""The classical channel between the parties: frames, authentication and its reserve of key; no sockets."""
