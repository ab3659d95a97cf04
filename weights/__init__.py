"""The weights that ship, and their cards."""
