"""`python -m keyferry` is the `keyferry` command."""

from keyferry.cli import main

if __name__ == "__main__":
    main()
