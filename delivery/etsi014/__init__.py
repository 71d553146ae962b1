"""Keys to applications, and from foreign sites, as ETSI GS QKD 014 V1.1.1 says it."""
