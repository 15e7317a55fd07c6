"""Edits of Python and TOML source text that leave everything else byte for byte as it was.

Pure: text goes in and text comes out. Must not know the file system, projects, or who asks for an edit.
"""
