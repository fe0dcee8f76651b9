"""Classifiers under attack: one file a kind; `store` loads and saves them."""
