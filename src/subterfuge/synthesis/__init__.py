"""The sound that a class is made of, under a prior that says what kind of sound is meant."""
