"""Registrations: the statement and the imports that make a route, a middleware or a handler part of the app.

Each kind is a class, whose arguments say what is registered. Registering is idempotent. When it is not certain where
the statement belongs, nothing is changed, and the result has the lines to add by hand. Unregistering with the same
arguments brings back the text byte for byte: pass the `RegisterResult.imports` of the registration as *added*, so that
an unused import that was there before stays. Pure; must not know the file system or the generators.
"""
