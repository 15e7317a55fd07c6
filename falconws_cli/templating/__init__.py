"""Finds templates, of falconws and of users, and renders them to planned files. Knows no project and no generator."""
