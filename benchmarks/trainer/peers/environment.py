"""The peers' own environment, `.venv-peers` beside the project's, so that their needs never meet ours.

    python -m benchmarks.trainer.peers.environment

Makes it once (some minutes, about 2 GB) and prints its interpreter; afterwards it only answers.
"""

import subprocess
import sys
from pathlib import Path

from ukdsl_assets.errors import UkdslError
from ukdsl_assets.settings import PROJECT

REQUIREMENTS = Path(__file__).parents[1] / "requirements-peers.txt"
TORCH = "2.13.0"
# A build for one kind of processor adds a suffix to the version, as in 2.13.0+cpu.
CHECK = f"""
import importlib.metadata, torch
import fbgemm_gpu
from fuxictr.pytorch.models import BaseModel
importlib.metadata.version("deepctr-torch")
assert torch.__version__.partition("+")[0] == "{TORCH}", "torch " + torch.__version__ + " instead of {TORCH}"
"""


class PeersError(UkdslError):
    """The peers' environment cannot be made."""


def peers_interpreter(folder: Path = PROJECT / ".venv-peers", requirements: Path = REQUIREMENTS) -> Path:
    """Path of the interpreter that has fuxictr, deepctr-torch, FBGEMM and our torch; installs them if it must.

    An environment that was made from the same requirements is used as it is.

    Raises:
        PeersError: A step failed; says which, the end of what it printed, and the fix.
    """
    interpreter, installed = folder / "bin" / "python", folder / "requirements-installed.txt"
    required = requirements.read_text()
    if installed.exists() and installed.read_text() == required and interpreter.exists():
        return interpreter
    installed.unlink(missing_ok=True)
    run_step("make the environment", folder, [sys.executable, "-m", "venv", str(folder)])
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_step("install the peers", folder, [*install, "-r", str(requirements)])
    run_step("import the peers", folder, [str(interpreter), "-c", CHECK])
    installed.write_text(required)
    return interpreter


def run_step(step: str, folder: Path, command: list[str]) -> None:
    """Run a step; a PeersError says in words why it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PeersError(f"Peers' environment {folder}: cannot {step}: {error}. {fix(folder)}") from error
    if done.returncode:
        end = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise PeersError(
            f"Peers' environment {folder}: cannot {step}; {Path(command[0]).name} ended with {done.returncode}:\n"
            f"{end}\n{fix(folder)}"
        )


def fix(folder: Path) -> str:
    """What to do about any failed step."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"Expected a package index that has {REQUIREMENTS.name}'s pins for Python {version} and about 2 GB of disk. "
        f"Remove {folder} and run again, or measure our trainer without the peers."
    )


if __name__ == "__main__":
    try:
        print(peers_interpreter())
    except PeersError as error:
        sys.exit(str(error))
