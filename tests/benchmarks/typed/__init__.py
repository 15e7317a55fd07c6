"""What typed messages cost: `python -m tests.benchmarks.typed`.

Ratios of one run count, since the rounds of the four echoes are interleaved on one server.
"""
