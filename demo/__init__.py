"""What `make demo` runs: the library against a real model server, on this machine or at a provider."""
