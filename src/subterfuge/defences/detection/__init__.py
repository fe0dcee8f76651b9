"""Telling adversarial clips from clean ones, and what that is worth against an attack that knows of it."""
