"""What an install takes on disk, by package: each set of extras in an empty virtual environment.

    python benchmarks/install_size.py                    # the base install
    python benchmarks/install_size.py '' gallery serve   # several

Sizes are of the files that pip wrote, compiled Python among them. Needs a package registry.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from omnireid import __version__
from options import new_file, run

ROOT = Path(__file__).resolve().parents[1]
# Printed by the environment's own Python: names and bytes of what is installed in it.
_SIZES = """
import importlib.metadata as metadata, json, os
sizes = {}
for found in metadata.distributions():
    files = {str(found.locate_file(file)) for file in found.files or ()}
    sizes[found.name.lower()] = sum(os.path.getsize(file) for file in files if os.path.isfile(file))
print(json.dumps(sizes))
"""


def measured(extras: str, folder: Path) -> dict[str, int]:
    """Bytes by package of an environment with omnireid and these extras, without pip itself."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    what = f"{ROOT}[{extras}]" if extras else str(ROOT)
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *quiet, *constraints, what], check=True)
    told = subprocess.run([python, "-c", _SIZES], check=True, capture_output=True, text=True).stdout
    sizes: dict[str, int] = json.loads(told)
    return {name: size for name, size in sizes.items() if name not in ("pip", "setuptools")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", default=[""], help="Each a set, parted by commas; '' is none.")
    parser.add_argument(
        "--out", type=new_file, default=Path(__file__).parent / "results" / "install_size.json"
    )
    args = parser.parse_args()
    installs = {}
    for extras in args.extras:
        with tempfile.TemporaryDirectory() as folder:
            sizes = measured(extras, Path(folder))
        largest = sorted(sizes.items(), key=lambda named: -named[1])
        print(f"[{extras}]: {sum(sizes.values()) / 1e6:.0f} MB, {len(sizes)} packages")
        for name, size in largest[:15]:
            print(f"  {size / 1e6:7.1f} MB  {name}")
        installs[extras] = {"bytes": sum(sizes.values()), "packages": dict(largest)}
    version = ".".join(platform.python_version_tuple()[:2])
    record = {"omnireid": __version__, "python": version, "platform": sys.platform, "installs": installs}
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
