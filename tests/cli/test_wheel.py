"""What is built is what works: the wheel carries tools, prompts, tasks, eval and the policy."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_an_installed_wheel_has_its_tools_and_prompts_in_any_folder(tmp_path, script):
    from tests.cli.conftest import DECK, TASK

    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
                   cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "__pycache__" in name]
        assert [name for name in archive.namelist() if re.fullmatch(r".*/policies/policy@\w+/adapter.gguf", name)]
        archive.extractall(tmp_path / "site")
    # The extracted wheel comes before the checkout on the path, as if it were installed.
    code = "import autorl, sys; print(autorl.__file__); sys.argv[0] = 'autorl'; from autorl.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "solve", TASK, "--model", script(DECK), "--json"],
                          env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, cwd=tmp_path, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    where, result = done.stdout.splitlines()
    assert where.startswith(str(tmp_path / "site"))
    assert '"verified": true' in result
