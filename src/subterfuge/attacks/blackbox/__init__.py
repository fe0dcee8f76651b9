"""Attacks that see scores or only the label, and count every query."""
