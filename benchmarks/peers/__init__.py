"""Other libraries for the same work, each in a process and a venv of its own."""
