"""Compare the performance of falconws with its peers: `python -m tests.benchmarks`. No test asserts a time.

contenders  what is measured: what each contender serves, and how it is started
peers       the packages of the peers, in a separate environment
server      one server process: start, pin to a core, measure, stop
load        the load generator (load.c), or falconws bench if there is no C compiler
scenarios   the workloads
figures     the target ratios, and which of them were reached
report      the tables; plots: the charts
"""
