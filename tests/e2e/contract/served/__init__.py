"""The server's side of the contract suite; runs in the server processes, never in the tests'."""
