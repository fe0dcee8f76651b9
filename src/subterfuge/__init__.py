"""Sonic Subterfuge: the smallest change that makes an audio classifier hear what you choose."""

__version__ = "0.1.0"
