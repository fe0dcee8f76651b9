"""librosa's features in torch: exact values, useful gradients."""
