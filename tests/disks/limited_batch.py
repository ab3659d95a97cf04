"""A batch run whose files may not be larger than a number of bytes: python limited_batch.py IN OUT BYTES. Prints a line a picture."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline"))

from batch_steps import Inverse

from restore.pipeline.batch import BatchOptions, run


def main() -> None:
    source, out, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    report = run(Inverse(), [source], out, BatchOptions(report=out.with_name("r.jsonl"), preview=out.with_name("sheet.png")))
    for record in report.records:
        print(record.status, record.error)
    for text in report.unwritten:
        print("unwritten", text)


if __name__ == "__main__":
    main()
