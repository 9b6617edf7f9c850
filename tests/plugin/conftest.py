"""A small study whose parts implement the Protocols, installed by its own entry points."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import quantbench.catalog.digits
from tests.conftest import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]  # the tree under test, wherever another one is installed
FAKES = '''
import json
import os
import time
from dataclasses import dataclass

from quantbench import Model, Scheme
from quantbench.errors import FetchError
from quantbench.protocols import Backend, Facts, OpTime, Profile
from quantbench.study.family import ListedSchemes
from quantbench.tasks.last_word import metrics as language


@dataclass(frozen=True)
class Sample:
    number: int

    @property
    def id(self):
        return f"sample-{self.number}"

    @property
    def digest(self):
        return f"content-{self.number}"

    fingerprint = digest


@dataclass(frozen=True)
class Numbers:
    """Even numbers to evaluate, odd ones to calibrate with."""

    name: str = "numbers"
    task: str = "fake"
    source: str | None = None
    calibration_source: str | None = None
    default_n: int = 400
    calibration_n: int = 4

    def samples(self, files, split, n):
        return [Sample(2 * i + (split == "calibration")) for i in range(n or 1000)]


@dataclass(frozen=True)
class Prepared:
    number: int
    tokens: tuple = (1, 2, 3)


class Quantizer:
    """Writes how many of every hundred samples the model gets wrong."""

    tools = ()
    version = 1

    def build(self, float_model, scheme, calibration, folder):
        with open("builds.log", "a") as log:
            log.write(scheme.name + chr(10))
        if scheme.name == "broken":
            raise RuntimeError("no kernel for op 7")
        if scheme.name == "unreachable":
            raise FetchError("the fake registry is closed", remedy="open it")
        if scheme.name == "without_extra":
            import a_module_that_is_not_there
        known = {"worse": 50, "close": 25, "near": 23, "as_near": 23}
        wrong = known.get(scheme.name, 20)
        if scheme.name == "drifting":
            wrong = int(open("drift.txt").read()) if os.path.exists("drift.txt") else 20
        (folder / "model.json").write_text(json.dumps({"wrong": wrong, "name": scheme.name}))
        return {}


class Runner:
    tools = ()
    devices = ("cpu", "cuda")

    @staticmethod
    def variant(machine):
        return "fake"

    def __init__(self, folder, machine):
        self.model = json.loads((folder / "model.json").read_text())
        self.threads = machine.threads

    def predict(self, prepared):
        if os.environ.get("FAKE_CRASH") == self.model["name"]:
            os.kill(os.getpid(), 9)
        if self.model["name"] == "huge":
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        if self.model["name"] == "slow":
            time.sleep(0.002)
        # "close" errs on other samples than "float": as many flips each way, so little is certain.
        place = (prepared.number // 2 + 50 * (self.model["name"] == "close")) % 100
        wrong = place < self.model["wrong"]
        logprob = float("nan") if self.model["name"] == "nan" else -1.0
        return {"logprobs": [logprob], "ranks": [int(wrong)], "greedy": [int(wrong)],
                "top_ids": [[0, 1]], "top_logprobs": [[-1.0, -1.0]]}

    def predict_all(self, prepared):
        return map(self.predict, prepared)

    def facts(self):
        return Facts(threads=self.threads, kernel="fake", weights_bytes=8)

    closed = False

    def close(self):
        self.closed = True


class Task:
    version = 1
    tools = ()
    lower_is_better = frozenset({"perplexity", "lost", "gained"})
    signed = frozenset({"logprob_drift"})

    @staticmethod
    def identity(model):
        return {}

    def __init__(self, model, float_model):
        pass

    def prepare(self, sample):
        return Prepared(sample.number)

    def evidence(self, sample, prediction):
        return {"id": sample.id, **prediction}

    def summarise(self, rows, weights):
        return language.summarise(rows, weights)

    def agree(self, rows, reference, weights):
        return language.agreement(rows, reference, weights)

    @staticmethod
    def per_sample(rows, reference=None):
        if reference is None:
            return language.per_passage(rows)
        return language.agreement_per_passage(rows, reference)

    def changes(self, samples, rows, reference, most):
        moved = [now["id"] for now, was in zip(rows, reference) if now["ranks"] != was["ranks"]]
        return [{"id": sample, "change": 1} for sample in moved[:most]]

    def explain(self, rows):
        return {"samples": len(rows)}


def profile(folder, samples, machine, step):
    name = json.loads((folder / "model.json").read_text())["name"]
    if os.environ.get("FAKE_PROFILE") == "broken":
        raise RuntimeError("no clock")
    ops = [("LOOK_UP", 1e5, "fast")] + [("SLEEP", 2e6, "plain")] * (name == "slow")
    timed = tuple(
        OpTime(place=i, kind=kind, name=kind, ns=ns, kernel=kernel)
        for i, (kind, ns, kernel) in enumerate(ops)
    )
    whole = sum(op.ns for op in timed)
    return [Profile(what="one inference", whole_ns=whole, ops=timed, method="invented",
                    threads=machine.threads, delegate="fast")]


BACKEND = Backend(
    name="fake", schemes=ListedSchemes("fake", {}), runner="fakes:Runner",
    quantizers={"fake": "fakes:Quantizer"}, profile="fakes:profile",
)


def model(*names):
    kinds = ("fake", "fake", "float32", "float32")
    schemes = tuple(Scheme(name, *kinds) for name in ("float", *names))
    return Model(
        name="fake", source="file:weights.txt", reference="float", schemes=schemes,
        datasets=(Numbers(),),
    )
'''

ENTRY_POINTS = """
[quantbench.backends]
fake = fakes:BACKEND
[quantbench.tasks]
fake = fakes:Task
"""

STUDY = """
import pytest
from fakes import model
from quantbench import cases, non_inferior

CASES = cases(model({names}), known_failures={known_failures}, known_errors={known_errors})

@pytest.mark.parametrize("case", CASES, ids=str)
class TestFake:
    def test_latency(self, quantized, sample, benchmark):
        benchmark(quantized.predict, sample)

    def test_accuracy(self, evaluation, reference):
        assert non_inferior(evaluation, reference, metric="accuracy", margin=0.05)
"""


@pytest.fixture
def study(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Make and run studies in a fresh folder with a fresh cache."""
    return Study(pytester, monkeypatch)


class Study:
    """A folder with the fakes installed.

    pytest there loads no plugins but those that matter: others take longer than a whole study.
    """

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        pytester.makepyfile(fakes=FAKES)
        pytester.maketxtfile(weights="w")
        info = pytester.mkdir("fakes-1.0.dist-info")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), str(ROOT)]))
        for name in os.environ:  # the outer run's, which may itself be an xdist worker
            if name.startswith(("QUANTBENCH_", "PYTEST_")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("QUANTBENCH_CACHE", str(pytester.path / "cache"))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTEST_PLUGINS", PLUGINS)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.pytester.path

    def write(
        self,
        *names: str,
        known_failures: Mapping[str, object] | None = None,
        known_errors: Mapping[str, object] | None = None,
    ) -> None:
        """A test file with the fake schemes of these names beside `float`."""
        quoted = ", ".join(map(repr, names))
        text = STUDY.format(
            names=quoted, known_failures=known_failures or {}, known_errors=known_errors or {}
        )
        (self.path / "test_fake.py").write_text(textwrap.dedent(text))

    def add(self, test: str) -> None:
        """A further test of every case; the whole function."""
        path = self.path / "test_fake.py"
        mark = '@pytest.mark.parametrize("case", CASES, ids=str)'
        path.write_text(f"{path.read_text()}\n\n{mark}\n{textwrap.dedent(test).lstrip()}")

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        options = [
            "-p",
            "no:cacheprovider",
            "--benchmark-max-time=0.01",
            "--benchmark-min-rounds=2",
        ]
        return self.pytester.runpytest_subprocess(*options, *arguments)

    def drift(self, wrong: int) -> None:
        """Let the scheme "drifting" be built anew, with so many errors in a hundred."""
        (self.path / "drift.txt").write_text(str(wrong))
        shutil.rmtree(self.path / "cache" / "artifact")

    def command(self, *arguments: str) -> pytest.RunResult:
        """Run `quantbench`."""
        return self.pytester.run(sys.executable, "-m", "quantbench", *arguments)

    def builds(self) -> list[str]:
        """Names of the schemes that were built, in order."""
        log = self.path / "builds.log"
        return log.read_text().split() if log.exists() else []


@pytest.fixture(scope="session")
def digits_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits detector as a Keras file, and scenes in COCO's layout.

    Made outside of pytester's tests: it forgets their imports, and TensorFlow cannot be imported
    twice.
    """
    from PIL import Image

    from quantbench.catalog.datasets import DigitScenes
    from quantbench.catalog.digits.network import load_network

    made = tmp_path_factory.mktemp("digits")
    weights = Path(quantbench.catalog.digits.__file__).with_name("weights.safetensors")
    load_network(weights).save(made / "detector.keras")
    for split, name, n in (("evaluation", "val2017", 80), ("calibration", "train2017", 20)):
        folder = made / "photos" / name
        folder.mkdir(parents=True)
        images, annotations = [], []
        for i, picture in enumerate(DigitScenes().samples({}, split, n)):
            Image.fromarray(picture.image).save(folder / f"{i}.png")
            images.append({"id": i, "file_name": f"{i}.png"})
            annotations += [{**truth, "image_id": i} for truth in picture.truths]
        annotated = made / "photos" / "annotations" / f"instances_{name}.json"
        annotated.parent.mkdir(exist_ok=True)
        annotated.write_text(json.dumps({"images": images, "annotations": annotations}))
    return made
