"""NATS with JetStream: one server, or a cluster."""
