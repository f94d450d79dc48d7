"""What modelwire costs, beside what could be had without it; see README.md here, and `python -m benchmarks --help`."""
