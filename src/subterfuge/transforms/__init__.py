"""What may happen to a file on its way; each transform draws its parameters, applies them, can be frozen."""
