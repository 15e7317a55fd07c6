"""NATS with JetStream: one server or a cluster. Knows the port, not the hub that uses it."""
