"""How well a listener could tell: measures of audibility, and listening tests."""
