"""Run every benchmark in turn, each in a process of its own, and print or collect its figures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

BENCHMARKS = (
    "word_error_rate",
    "translation_quality",
    "speaker_identification",
    "synthesis_cost",
    "synthesis_order",
    "server_overhead",
    "metrics_cost",
    "event_loop",
    "memory",
    "lifecycle",
    "page",
    "latency",
    "interim_captions",
    "seamless_cost",
    "nllb_cost",
    "kokoro_cost",
    "legacy_rest",
    "threads",
)


def main() -> None:
    """Run them; ends with status 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parsed = parser.parse_args()
    figures = {}
    failed = False
    for name in BENCHMARKS:
        print(f"── {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--json"] if parsed.json else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE if parsed.json else None, text=True)
        failed |= done.returncode != 0
        if parsed.json and done.returncode == 0:
            figures[name] = json.loads(done.stdout)
    if parsed.json:
        print(json.dumps(figures, ensure_ascii=False, indent=2))
    sys.exit(failed)


if __name__ == "__main__":
    main()
