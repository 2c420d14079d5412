"""Run the Python programs of README and of the tutorials as they stand, after `make run`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]


def main() -> None:
    pages = [TREE / "README.md", *sorted((TREE / "docs" / "start").glob("*.md"))]
    programs = {page: re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) for page in pages}
    if not programs[TREE / "README.md"]:
        sys.exit("README.md: its Python programs were not found")
    for page in pages:
        with tempfile.TemporaryDirectory() as folder:
            # What they leave (a gallery) is not left in the tree.
            (Path(folder) / "runs").mkdir()
            (Path(folder) / "runs" / "quickstart").symlink_to(TREE / "runs" / "quickstart")
            for number, program in enumerate(programs[page], start=1):
                done = subprocess.run(
                    [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
                )
                name = f"{page.relative_to(TREE)}, program {number}"
                if done.returncode or not done.stdout.strip():
                    sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
                print(f"{name}: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
