"""Clients around a client: each has the interface of what it wraps, so that they nest in any order."""
