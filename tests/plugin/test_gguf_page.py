"""What docs/how-to/gguf.md shows works as it is shown, and good GGUF files beside broken ones."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.core.requirements import lacking
from tests.conftest import sentence
from tests.docs.pages import example

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Study

PAGE = "docs/how-to/gguf.md"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A checkpoint, two files that were made of it, and passages that end in "home again"."""
    if lacks := lacking("llamacpp"):
        if "extras" in os.environ.get("QUANTBENCH_REQUIRE", ""):
            pytest.fail("; ".join(lacks))
        pytest.skip("; ".join(lacks))
    from quantbench.backends.llamacpp.files import MODEL
    from quantbench.backends.llamacpp.importers.checkpoint import CheckpointImporter
    from quantbench.backends.llamacpp.quantizers.rounded import quantize
    from quantbench.backends.llamacpp.schemes import FILE_TYPES
    from tests.backends.llamacpp.conftest import described

    made = tmp_path_factory.mktemp("gguf_files")
    whole, files = made / "whole", made / "files"
    whole.mkdir()
    files.mkdir()
    CheckpointImporter().build(described(), tiny_checkpoint, whole)
    shutil.copytree(tiny_checkpoint, files / "checkpoint")
    quantize(whole / MODEL, files / "downloaded.gguf", FILE_TYPES["q8_0"])
    texts = [sentence(i, 10 + i % 15) + " home again" for i in range(240)]
    rows = [json.dumps({"text": text}) + "\n" for text in texts]
    (files / "passages.jsonl").write_text("".join(rows))
    # Another vocabulary: two words have each other's number.
    swapped = made / "swapped"
    shutil.copytree(tiny_checkpoint, swapped)
    told = json.loads((swapped / "tokenizer.json").read_text())
    vocabulary = told["model"]["vocab"]
    one, two = "\u0120house", "\u0120tree"
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (swapped / "tokenizer.json").write_text(json.dumps(told))
    other = made / "other"
    other.mkdir()
    CheckpointImporter().build(described(), swapped, other)
    shutil.copyfile(other / MODEL, files / "other.gguf")
    return files


def records_of(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    return {record["scheme"]: record for record in document["records"]}


@pytest.mark.slow
def test_a_downloaded_file_in_fifteen_lines(files: Path, study: Study) -> None:
    (study.path / "test_mine.py").write_text(example(PAGE, 0))
    shutil.copytree(files, study.path, dirs_exist_ok=True)
    result = study.run("-W", "default", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["downloaded on my_passages, 140 samples"])
    record = records_of(study)["gguf_as_shipped"]
    assert record["build"]["imported_by"] == ["gguf_checked"]
    assert record["build"]["bits_per_weight"] == 8.5
    assert abs(record["verdicts"][0]["difference"]) < 0.02
    assert 0 <= record["metrics"]["kl_divergence"]["value"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_your_checkpoint_in_fifteen_lines(
    files: Path, study: Study, workers: tuple[str, ...]
) -> None:
    code = example(PAGE, 1)
    (study.path / "test_mine.py").write_text(code)
    shutil.copytree(files, study.path, dirs_exist_ok=True)
    result = study.run("-W", "default", *workers, "--benchmark-json", "out.json")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 6
    assert not {"failed", "error", "errors"} & set(outcomes)
    records = records_of(study)
    floats = records["gguf_f32"]
    assert floats["verdicts"][0]["difference"] == 0
    assert floats["build"]["import_differences"]["hf_gguf"] < 1e-4
    assert floats["metrics"]["kl_divergence"]["value"] < 1e-5
    if not workers:
        decoded = records["gguf_q4_k_m"]["metrics"]["decode_tokens_per_s"]["value"]
        assert decoded > 0
        result.stdout.fnmatch_lines(["*MB*latency*tokens/s"])
        result.stdout.fnmatch_lines(["*runtime*scheme*verdict*tokens/s*"])


BROKEN = """
import pytest
from quantbench import Model, Passages, cases, non_inferior

TEXTS = Passages("my_passages", "file:passages.jsonl")
FLOAT = Model("original", source="file:checkpoint", reference="reference",
              schemes=("reference",), datasets=(TEXTS,))

def judged(name, schemes=("gguf_as_shipped",), **more):
    return cases(Model(name, source=f"file:{name}.gguf", format="gguf", reference=FLOAT,
                       schemes=schemes, datasets=(TEXTS,), **more))

CASES = [*judged("downloaded"), *judged("cut"), *judged("odd"), *judged("other"),
         *judged("again", ("gguf_q4_0",))]

@pytest.mark.parametrize("case", CASES, ids=str)
def test_last_word(evaluation, reference):
    assert non_inferior(evaluation, reference, metric="accuracy", margin=0.05)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_broken_files_are_explained_and_the_others_judged(
    files: Path, study: Study, workers: tuple[str, ...]
) -> None:
    """Cut short, of an unknown architecture, with another tokenizer, quantized twice."""
    shutil.copytree(files, study.path, dirs_exist_ok=True)
    whole = (study.path / "downloaded.gguf").read_bytes()
    (study.path / "cut.gguf").write_bytes(whole[:-1000])
    place = whole.index(b"llama", whole.index(b"general.architecture"))
    (study.path / "odd.gguf").write_bytes(whole[:place] + b"lxama" + whole[place + 5 :])
    (study.path / "again.gguf").write_bytes(whole)
    (study.path / "test_mine.py").write_text(textwrap.dedent(BROKEN))
    result = study.run("-W", "default", *workers, "--benchmark-json", "out.json")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 1
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 4
    assert "INTERNALERROR" not in result.stdout.str()
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    said = {record["model"]: record["error"] for record in document["records"]}
    assert said["downloaded"] is None
    assert "not a valid GGUF file" in said["cut"]["message"]
    assert "unknown model architecture" in said["odd"]["message"]
    assert "other tokens for the model than for its reference" in said["other"]["message"]
    assert "starts from a float model" in said["again"]["message"]
