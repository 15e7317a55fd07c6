"""One transaction: plans, their comparison with the disk, conflicts, the writing, and the record of operations.

Knows how source is edited only through registrations; knows no template and no generator.
"""
