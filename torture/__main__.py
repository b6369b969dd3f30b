"""`python -m torture [CAMPAIGN…]`: run the campaigns, say what was tried, and keep it in the guarantees page if asked."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from torture import report
from torture.campaign import Campaign, Run
from torture.campaigns import CAMPAIGNS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m torture", description=__doc__)
    names = [campaign.name for campaign in CAMPAIGNS]
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"some of: {', '.join(names)} (default: all)")
    parser.add_argument("--short", action="store_true", help="the few rounds that continuous integration runs")
    parser.add_argument("--seed", type=int, help="repeat the run that printed this seed")
    parser.add_argument("--directory", type=Path, help="where the stores are made (default: the directory for temporary files)")
    parser.add_argument("--record", action="store_true", help="write the counts into docs/guarantees.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.campaigns) - set(names):
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


def _run(campaign: Campaign, seed: int, arguments: argparse.Namespace) -> report.Outcome:
    """Run one campaign in a directory of its own, which stays if the campaign fails."""
    if reason := campaign.why_not():
        return report.Outcome(campaign, seed, skipped=reason)
    directory = Path(tempfile.mkdtemp(prefix=f"eventlog-torture-{campaign.name}-", dir=arguments.directory))
    run = Run(directory, seed, arguments.short)
    begin = time.monotonic()
    failure = ""
    try:
        campaign.run(run)
    except Exception:
        failure = f"{traceback.format_exc()}the files are in {directory}; repeat it with --seed {seed}"
    else:
        shutil.rmtree(directory)
    return report.Outcome(campaign, seed, dict(run.counts), time.monotonic() - begin, failure)


def main() -> int:
    arguments = _arguments()
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    chosen = [campaign for campaign in CAMPAIGNS if not arguments.campaigns or campaign.name in arguments.campaigns]
    print(f"{'short ' if arguments.short else ''}torture of eventlog, seed {seed}", flush=True)
    outcomes = []
    for campaign in chosen:
        outcomes.append(_run(campaign, seed, arguments))
        print(outcomes[-1].line(), flush=True)
    if arguments.record:
        report.record(outcomes)
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
