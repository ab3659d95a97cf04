"""The long form of the fuzz suite: `python tests/fuzz --cases 20000 --seed 1 [--save FOLDER] [--jobs N] [--only KIND]`.

Prints how many mutants of each kind were refused and restored, and each sort of finding; exit code 1 where there is one.
`python tests/fuzz --kills 100` kills as many batch runs instead, with the loss of what was not yet on the disk;
`python tests/fuzz --folder 300` restores a folder of mutants with a third as many good pictures, and tells what the mutants cost those.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import fuzz_folder
from fuzz_harness import cases, tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds that start with this")
    parser.add_argument("--save", type=Path, help="folder for the smallest input of each sort of finding")
    parser.add_argument("--kills", type=int, help="kill so many batch runs instead, and lose what they had not flushed")
    parser.add_argument("--folder", type=int, help="restore a folder of so many mutants with a third as many good pictures instead")
    arguments = parser.parse_args()
    if arguments.folder:
        return fuzz_folder.main(arguments.folder, max(1, arguments.folder // 3), arguments.seed)
    if arguments.kills:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "disks"))
        import power_cut

        return power_cut.main(arguments.kills, arguments.seed)
    start = time.monotonic()
    given = (case for case in cases(arguments.cases, arguments.seed) if case.kind.startswith(arguments.only))
    found = tally(given, arguments.jobs, lambda text: print(text, file=sys.stderr, flush=True))
    print(found.table())
    print(f"{sum(found.counts.values())} cases in {time.monotonic() - start:.0f} s, {sum(found.sorts.values())} findings")
    if found.findings:
        print(found.told())
    if arguments.save:
        found.save(arguments.save)
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
