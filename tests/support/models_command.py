"""``babblefish models`` as a program, whose catalogue states the hashes of a hub of the tests.

Run as ``python -m tests.support.models_command HASHES ARGUMENTS``; the hashes are JSON, by asset and file.
"""

from __future__ import annotations

import json
import sys

from babblefish.models import catalogue
from tests.support.fake_hub import pinned_to

if __name__ == "__main__":
    catalogue.CATALOGUE = pinned_to(json.loads(sys.argv[1]))
    from babblefish.cli.main import main  # which takes the catalogue as it is now

    main(["models", *sys.argv[2:]])
