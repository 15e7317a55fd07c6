"""Measure whole commands from start to exit, compared with their peers: `python -m tests.benchmarks.start_up`.

programs  the commands, their environment, and the folder that each starts in
runs      runs of a process, in interleaved rounds; ratios
report    the page and the plot
"""
