"""Fitting and honestly measuring victims."""
