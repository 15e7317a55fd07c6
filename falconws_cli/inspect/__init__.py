"""`falconws inspect`: shows the parts of an app.

Imports the app and does not start it. Must not know how projects are made or changed.
"""
