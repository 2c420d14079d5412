"""Run the README's Python programs as they stand, after `make run`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]


def main() -> None:
    programs = re.findall(r"```python\n(.*?)```", (TREE / "README.md").read_text(), re.DOTALL)
    if len(programs) < 2:
        sys.exit("README.md: its Python programs were not found")
    with tempfile.TemporaryDirectory() as folder:
        # What they leave (a gallery) is not left in the tree.
        (Path(folder) / "runs").mkdir()
        (Path(folder) / "runs" / "quickstart").symlink_to(TREE / "runs" / "quickstart")
        for number, program in enumerate(programs, start=1):
            done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
            if done.returncode or not done.stdout.strip():
                sys.exit(
                    f"README.md: program {number} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
                )
            print(f"README.md, program {number}: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
