"""Defences by training: a new victim, fitted so that it is harder to fool; one idea a file."""
