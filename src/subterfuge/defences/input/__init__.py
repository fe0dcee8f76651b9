"""What is done to a sound before a victim hears it, each a file: drawn, applied, frozen, and attackable."""
