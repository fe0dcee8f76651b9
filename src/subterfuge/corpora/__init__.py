"""Labelled clips to train and measure on."""
