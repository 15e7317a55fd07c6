"""Generates clients in TypeScript and Python, from the conversations of an app or from an AsyncAPI document."""
