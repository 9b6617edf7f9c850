"""Frameworks start without a word, unless somebody wants to hear them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from quantbench.diagnosis.tensorflow import start_tensorflow
start_tensorflow()
import tensorflow as tf
tf.constant(1) + 1
print("still here", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", [None, "0"])
def test_tensorflow_starts_silently_unless_it_is_asked_to_speak(level: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    if level is None:
        assert run.stderr == "still here\n"
    else:
        assert "oneDNN" in run.stderr or "cpu_feature_guard" in run.stderr
