"""What makes a classifier harder to fool, and what proves how hard it is."""
