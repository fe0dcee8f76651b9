"""What a measure raises where it can say nothing of a pair of clips, with the reason."""


class Unmeasured(Exception):
    """A measure cannot be taken of these clips; its text is the reason, said after the measure's name."""
