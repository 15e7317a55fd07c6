"""Measure fan-out: `python -m tests.benchmarks.fanout`. No test asserts a time.

contenders  what is measured, and how each contender is started
bench       rounds of loads; fanout.c generates the load
parts       the parts of the benchmark; each can be measured alone
rooms       the memory of a room
results     the figures as data: fan-out.json
report      the page and its charts; columns: column charts
"""
