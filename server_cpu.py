"""Run the BabbleFish server: ``python server_cpu.py [--host ADDRESS] [--port 9000] [--profile embedded]``."""

import sys

from babblefish.cli.main import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
