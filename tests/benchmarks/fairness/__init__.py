"""How long an honest client waits while others keep a server busy: `python -m tests.benchmarks.fairness`.

It must not know the other benchmarks: it compares a server with its goals, not with other servers.
"""
