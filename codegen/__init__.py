"""Generates `src/modelwire/types.py`, `options.py` and `_option_table.py` from the schema; see README.md."""
