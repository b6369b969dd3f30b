"""`make fuzz`: every fuzz target for so many seconds, going on from what earlier runs have found (build/fuzz/corpus)."""

from __future__ import annotations

import argparse
import secrets
import sys

from torture.campaigns.hostile import fuzzing


def main() -> int:
    parser = argparse.ArgumentParser("python -m torture.campaigns.hostile", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="some of the targets (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    if reason := fuzzing.why_not():
        print(f"nothing is fuzzed: {reason}")
        return 1
    found = fuzzing.BUILT / "corpus"
    fuzzing.seed_corpora(found)
    for fuzzer in fuzzing.fuzzers():
        if not arguments.targets or fuzzer.name in arguments.targets:
            runs = fuzzing.run(fuzzer, found / fuzzer.name, arguments.seconds, arguments.seed)
            print(f"{fuzzer.name}: {runs:,} inputs, seed {arguments.seed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
