"""`keyferry cluster` without what it needs says what to install, in one line."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules["{package}"] = None
from keyferry.cli import main
main(["cluster", "path"])
"""


@pytest.mark.parametrize("package", ["cryptography", "filelock", "psutil", "yaml"])
def test_missing_package_is_named(package):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: the control plane needs the Python package {package}: install keyferry[local]\n"
    )


def test_help_loads_nothing_of_the_control_plane():
    code = (
        "import sys\n"
        "from keyferry.cli import main\n"
        "main(['cluster', '--help'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith('keyferry.localcluster')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
