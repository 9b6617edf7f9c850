"""The published studies: what each case lacks here, and the whole way on a loopback hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.published import test_detectors, test_language_models
from benchmarks.published.compare import page
from quantbench.backends.transformers.importers.random_checkpoint import RandomCheckpointImporter
from quantbench.catalog.lookup import cases_in
from quantbench.catalog.models import find_model
from quantbench.run.reach import reach_of
from quantbench.sources.random_weights import RandomWeights
from quantbench.store.artifacts import Store
from tests.conftest import sentence
from tests.hub import PLAIN, hub

ROOT = Path(__file__).parents[2]
STUDIES = ("test_detectors.py", "test_language_models.py")
SAMPLES = 40
NOWHERE = "http://127.0.0.1:9"  # no server listens there


def run(folder: Path, *arguments: str, **environment: str) -> tuple[str, dict[str, Any]]:
    """A study in a process of its own; its output and its records by case."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "-q"]
    command += ["--benchmark-json", str(folder / "out.json"), *arguments]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QUANTBENCH_", "HF_", "KAGGLE", "PYTEST_"))
    }
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, "QUANTBENCH_CACHE": str(folder / "cache"), **PLAIN, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads((folder / "out.json").read_text())["quantbench"]
    return done.stdout, {
        **{each["case"]: each for each in document["skipped"]},
        **{each["case"]: each for each in document["records"]},
    }


@pytest.mark.parametrize("name", STUDIES)
def test_the_dry_run_says_of_every_case_what_it_lacks(name: str, tmp_path: Path) -> None:
    found = cases_in(ROOT / "benchmarks" / "published" / name)
    assert len(found) == len(set(map(str, found))) > 20
    for case in found:
        reach = reach_of(case, Store(tmp_path))
        assert reach.state in {"missing", "fetch"}, reach
        assert case.model.source.partition("#")[0] in reach.why
        if str(case.dataset.source).startswith("data:"):
            assert "coco was not given; next: --quant-data DIR" in reach.why
        if case.scheme.quantizer == "autogptq":
            assert "tox -e autogptq" in reach.why


def test_the_studies_have_the_published_counts() -> None:
    by_model = {case.model.name: case.dataset for case in test_detectors.AS_PUBLISHED}
    assert by_model["centernet_resnet50v2"].default_n == 5000
    assert by_model["ssd_mobilenetv2"].default_n == 1500
    texts = {case.dataset for case in test_language_models.AS_PUBLISHED}
    assert [(data.default_n, data.calibration_n) for data in texts] == [(5000, 100)]
    assert {data.calibration_n for data in by_model.values()} == {100}
    tools = {c.scheme.name for c in test_language_models.AS_PUBLISHED} - {"reference"}
    assert tools == {f"autogptq_int{bits}_g64" for bits in (8, 4, 2)}


def test_the_float_models_are_held_to_known_scores() -> None:
    known = {case.model.name: case.model.anchors for case in test_detectors.CORRECTED}
    values = {name: anchor.value for name, (anchor,) in known.items()}
    assert values == {
        "centernet_resnet50v2": 0.295,
        "ssd_mobilenetv2": 0.202,
        "ssd_mobilenetv2_fpnlite": 0.222,
        "efficientdet_d0": 0.336,
        "detr_r101_dc5": 0.449,
    }
    assert all(anchor.source for (anchor,) in known.values())


def test_without_a_network_each_case_is_skipped_with_the_command(tmp_path: Path) -> None:
    said, found = run(
        tmp_path,
        "benchmarks/published",
        "-k",
        "test_latency and (ssd_mobilenetv2- or smollm_135m) and (float32 or reference)",
        HF_HUB_OFFLINE="1",
        KAGGLE_API_ENDPOINT=NOWHERE,
        HF_HOME=str(tmp_path / "hub"),
    )
    assert set(found) == {
        "ssd_mobilenetv2-float32-val2017_1500",
        "ssd_mobilenetv2-float32-val2017",
        "smollm_135m-reference-lambada_5000",
        "smollm_135m-reference-lambada_all",
    }
    assert "4 skipped" in said
    reasons = {case: each["reason"] for case, each in found.items()}
    assert "--quant-data DIR" in reasons["ssd_mobilenetv2-float32-val2017"]
    assert "EleutherAI/lambada_openai" in reasons["smollm_135m-reference-lambada_all"]


@pytest.fixture(scope="module")
def lambada(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both repositories of LAMBADA, with passages that end in "home again"."""
    from datasets import Dataset

    folder = tmp_path_factory.mktemp("lambada")
    texts = [f"{sentence(i, 8 + i % 20)} home again" for i in range(SAMPLES + 160)]
    (folder / "test/data").mkdir(parents=True)
    lines = [json.dumps({"text": text}) for text in texts[: SAMPLES + 10]]
    (folder / "test/data/lambada_test_en.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "development/plain_text").mkdir(parents=True)
    rows = [{"text": text, "domain": "Romance"} for text in texts[SAMPLES + 10 :]]
    parquet = folder / "development/plain_text/validation-00000-of-00001.parquet"
    Dataset.from_list(rows).to_parquet(str(parquet))
    return {
        "datasets/EleutherAI/lambada_openai": folder / "test",
        "datasets/cimec/lambada": folder / "development",
    }


def random_checkpoint(folder: Path, architecture: str) -> Path:
    """As the option --quant-random-weights makes it."""
    for name in ("source", "made"):
        (folder / name).mkdir()
    RandomWeights(architecture).fetch(folder / "source")
    RandomCheckpointImporter().build(find_model("smollm_135m"), folder / "source", folder / "made")
    return folder / "made"


def on_a_hub(folder: Path, served: dict[str, Path], *arguments: str) -> tuple[str, Any]:
    """The study of language models with what the hub serves, on few passages."""
    with hub(served, gated=("meta-llama",)) as endpoint:
        return run(
            folder,
            "benchmarks/published/test_language_models.py",
            "--quant-samples",
            str(SAMPLES),
            *arguments,
            HF_ENDPOINT=endpoint,
            HF_HOME=str(folder / "hub"),
        )


CHOSEN = "smollm_135m and (reference or bnb_nf4 or gguf_q8_0) or llama_3.2_3b-reference"


def test_a_hub_drives_the_study_to_its_verdicts_and_its_page(
    tiny_checkpoint: Path, lambada: dict[str, Path], tmp_path: Path
) -> None:
    """The weights are of another, tiny model that was trained: nothing else is another."""
    served = {"HuggingFaceTB/SmolLM-135M": tiny_checkpoint, **lambada}
    said, found = on_a_hub(tmp_path, served, "-k", CHOSEN)
    corrected = {name: each for name, each in found.items() if name.endswith("lambada_all")}
    assert {"smollm_135m-reference-lambada_all", "smollm_135m-bnb_nf4-lambada_all"} <= set(
        corrected
    ), said
    reference = found["smollm_135m-reference-lambada_all"]
    assert reference["dataset"]["n"] == SAMPLES
    assert [each["outcome"] for each in reference["verdicts"]] == ["pass"]
    nf4 = found["smollm_135m-bnb_nf4-lambada_all"]
    assert nf4["verdicts"]
    assert nf4["latency"]
    assert nf4["metrics"]["decode_tokens_per_s"]["value"] > 0
    published = found["smollm_135m-reference-lambada_5000"]
    assert published["verdicts"] == []
    assert 0 < published["metrics"]["top1"]["value"] <= published["metrics"]["top5"]["value"]
    gated = found["llama_3.2_3b-reference-lambada_all"]["reason"]
    assert "accept its licence on the model's page" in gated
    assert "quantbench fetch llama_3.2_3b" in gated
    written = page([tmp_path / "out.json"])
    assert "| smollm_135m | reference |" in written
    assert f"top1 {published['metrics']['top1']['value']:.3f}" in written
    assert "## Is the correlation of speed and precision real?" in written
    assert "Not answered: no float detector was evaluated" in written


def test_random_weights_from_a_hub_have_nothing_to_lose(
    lambada: dict[str, Path], tmp_path: Path
) -> None:
    """A study of what nobody trained is measured whole, and its gate refuses to be asked."""
    checkpoint = random_checkpoint(tmp_path, "smollm_tiny")
    served = {"HuggingFaceTB/SmolLM-135M": checkpoint, **lambada}
    chosen = "smollm_135m and (reference or bnb_int8) and lambada_all"
    said, found = on_a_hub(tmp_path, served, "-k", chosen)
    record = found["smollm_135m-bnb_int8-lambada_all"]
    assert "cannot fail: the reference has no more than the margin to lose" in said
    assert record["error"]["type"] == "UsageError"
    assert record["latency"]
    assert record["artifact"]["size_bytes"] > 0


@pytest.mark.slow
def test_the_full_size_comes_from_a_hub(lambada: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tmp_path, "smollm_135m")
    served = {"HuggingFaceTB/SmolLM-135M": checkpoint, **lambada}
    chosen = "smollm_135m and (reference or bnb or torchao or gguf) and lambada_all"
    _, found = on_a_hub(tmp_path, served, "-k", f"({chosen}) and test_latency")
    weights = {name: each["memory"]["weights_bytes"] for name, each in found.items()}
    assert weights["smollm_135m-reference-lambada_all"] in {2 * 134_515_008, 4 * 134_515_008}
    whole = weights["smollm_135m-gguf_bf16-lambada_all"]
    assert whole == pytest.approx(2 * 134_515_008, rel=0.01)
    assert weights["smollm_135m-gguf_q8_0-lambada_all"] == pytest.approx(whole * 8.5 / 16, rel=0.01)
    assert all(each["latency"] for each in found.values())


@pytest.mark.slow
def test_the_option_runs_the_study_without_a_hub(lambada: dict[str, Path], tmp_path: Path) -> None:
    """Only the passages come from one."""
    chosen = "smollm_135m and (reference or bnb_nf4)"
    said, found = on_a_hub(tmp_path, lambada, "-k", chosen, "--quant-random-weights", "on")
    assert {name.partition("-")[0] for name in found} == {"smollm_135m_random"}
    assert all(each["random_weights"] and not each["verdicts"] for each in found.values())
    assert "random weights" in said
    written = page([tmp_path / "out.json"])
    assert "**Rows of models with random weights are sizes and times alone.**" in written
    assert "Not answered: no case was both timed and evaluated." in written


@pytest.mark.parametrize(
    ("named", "found"), [("benchmarks", False), ("benchmarks/published", True)]
)
def test_they_run_only_where_they_are_named(named: str, *, found: bool) -> None:
    """README's first line runs all studies, and must not fetch gigabytes."""
    ours = ("QUANTBENCH_", "PYTEST_")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", named, "--collect-only", "-q"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(ours)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("benchmarks/published/" in done.stdout) == found
    assert "benchmarks/test_coco.py" in done.stdout or found
