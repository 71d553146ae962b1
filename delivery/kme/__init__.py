"""The key management entity of a site: its server for applications, and its line to other sites."""
