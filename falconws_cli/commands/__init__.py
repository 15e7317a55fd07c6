"""The commands of `falconws`, one module each: they parse arguments, call the package that does the work, and exit.

Must not contain logic, and must not import anything slow before the command runs.
"""
