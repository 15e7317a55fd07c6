"""`falconws doctor`: checks whether an app can be served, and says what to do where it cannot.

Reads the project, and imports its app in a process of its own. Must not change anything.
"""
