"""Measures falconws beside its peers: `python -m tests.benchmarks`. Not tests: nothing here judges a time.

contenders  who is measured: what each serves, and how it is started
peers       their packages, in an environment of the benchmark's own
server      one server process: started, pinned, measured, stopped
load        the generator (load.c), or falconws bench's where there is no C compiler
scenarios   what is measured
figures     which ratios are wanted, and which were reached
report      the table; plots: the pictures
"""
