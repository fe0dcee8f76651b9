"""The command line: one thin file a command, no logic of its own."""
