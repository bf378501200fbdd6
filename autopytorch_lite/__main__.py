"""`python -m autopytorch_lite` is the command `autopytorch-lite`."""

from autopytorch_lite.cli import main

if __name__ == "__main__":
    main()
