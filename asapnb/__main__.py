"""`python -m asapnb`: the command line, also where the command `asapnb` is not on the path."""

import sys

from asapnb.cli import main

if __name__ == "__main__":  # processes of a sweep import this module, too
    sys.argv[0] = "asapnb"  # run files keep the command
    main(prog_name="asapnb")
