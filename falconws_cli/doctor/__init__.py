"""`falconws doctor`: whether everything is there that an app needs to be served.

finding       pure: what a check found, and what to do about it
installation  Python, the packages that serve, and the engine
surroundings  the port, the project's files and its dependencies
patient       the app, imported in a process of its own
probe         that process
run           puts the parts together
"""
