"""`python -m spinodal`, and `torchrun -m spinodal`: the command line."""

from spinodal.cli import main

if __name__ == "__main__":
    main()
