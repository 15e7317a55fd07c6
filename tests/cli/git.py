"""The git repository that a project of a test is in; its user is me@example.com."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str, email: str = "me@example.com", code: int = 0) -> str:
    """Run git as this author; return what it prints, once it has ended as expected."""
    identity = ["-c", "user.name=Me", "-c", f"user.email={email}", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def commit(root: Path, email: str = "me@example.com") -> None:
    """Commit everything, if there is anything."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "work", email=email)
