"""Trial actors are light: a sweep has one for each trial in flight."""

from __future__ import annotations

import subprocess
import sys


def test_a_trial_actor_imports_neither_torch_nor_mlflow() -> None:
    code = "import sys, raysweep.cluster.trial_actor; print({'torch', 'mlflow', 'optuna', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"
