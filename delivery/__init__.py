"""What IT departments see: a key store, key management entities, relay, audit and operations."""
