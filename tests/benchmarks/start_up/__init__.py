"""Measures what a command costs from start to end, beside its peers: `python -m tests.benchmarks.start_up`.

programs  what is run: the commands, the environment they are installed in, the folder each starts in
runs      one run of a process, and rounds of all of them; ratios
report    the page and the plot
"""
