"""Redis 7 and Valkey: one server, or a cluster."""
