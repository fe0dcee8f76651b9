"""The one exception type: a plain sentence that says what was wrong and what would be right."""


class SubterfugeError(ValueError):
    """Bad input or usage, said in one sentence: what it was, what was got, what was expected.

    The command line prints the sentence on standard error and exits with code 2. Everything that a
    user can get wrong raises this and nothing else; any other exception is a defect of ours.
    """
