"""Build the package, check what an index would check, and use the wheel where the repository is not.

    python -m pip install build twine
    python bench/wheel.py

A new environment sees the dependencies of this one and nothing else; it installs the wheel, and maps a network elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = (
    "map",
    "gaussian",
    "--set",
    "activation=linear",
    "--set",
    "hidden=4",
    "--set",
    "samples=50",
    "--beta",
    "0.4:1.2",
    "--quiet",
)
WHERE = "import spinodal; print(spinodal.__file__)"


def main() -> None:
    """Do all of it; a step that fails ends it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT, quiet=True)
        files = sorted((folder / "dist").iterdir())
        run(sys.executable, "-m", "twine", "check", "--strict", *files)
        home = environment(folder / "environment")
        run(
            home / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            *folder.glob("dist/*.whl"),
            cwd=folder,
        )
        run(home / "bin" / "python", "-c", WHERE, cwd=folder)
        run(home / "bin" / "spinodal", *MAP, "--out", "run", cwd=folder)
        made = {path.name for path in (folder / "run").iterdir()}
        assert {"report.html", "result.json", "result.nc", "figures"} <= made, made
        print(f"{', '.join(path.name for path in files)}: built, checked, installed, and a map was made")


def environment(home: Path) -> Path:
    """Make an environment that sees the packages of this one; an editable install is none of them."""
    venv.create(home, with_pip=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    return home


def run(*words: object, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run a command without the repository on its path."""
    line = [str(word) for word in words]
    subprocess.run(line, cwd=cwd, check=True, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL if quiet else None)


if __name__ == "__main__":
    main()
