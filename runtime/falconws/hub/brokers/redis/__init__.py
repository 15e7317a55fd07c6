"""Redis 7 and Valkey: one server or a cluster. Knows the port, not the hub that uses it."""
