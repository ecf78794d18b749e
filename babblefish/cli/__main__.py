"""``python -m babblefish.cli``: the command line, as the ``babblefish`` command has it."""

from babblefish.cli.main import main

if __name__ == "__main__":
    main()
