"""``python -m subterfuge``: the same as the command ``subterfuge``."""

from subterfuge.cli.main import main

if __name__ == "__main__":
    main()
