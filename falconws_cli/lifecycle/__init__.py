"""What a project remembers of the commands that made it, and what can be done with that: undo, destroy, upgrade."""
