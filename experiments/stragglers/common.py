"""What both parts share: the CSV files in this folder."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import csv_files  # noqa: E402

write = partial(csv_files.write, HERE)
