"""Measures fan-out: `python -m tests.benchmarks.fanout`. Not tests: nothing here judges a time.

contenders  who is measured beside whom, and how each is started
bench       rounds of loads; fanout.c is the load
parts       what is measured: each part can be measured again without the others
rooms       the memory of a room
results     the figures as data: fan-out.json
report      the page and its charts; columns: how a chart of growth is drawn
"""
