"""A soak test of the hub over real brokers; see __main__.py."""
