"""Attacks: each one pure function, a file each; white-box ones climb gradients, black-box ones ask."""
