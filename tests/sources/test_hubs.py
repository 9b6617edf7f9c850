"""Hubs, by their real clients against caches filled here and ports where nobody listens."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.models import find_model
from quantbench.errors import FetchError, IntegrityError, UsageError
from quantbench.sources.hubs import HuggingFace, Kaggle
from quantbench.sources.parsing import parse_source

if TYPE_CHECKING:
    from pathlib import Path

SHA = "1d5f47bd3bdd2c4bbfa585418ffe6da5028b4c0b"
NOWHERE = "http://127.0.0.1:9"  # the discard port


@pytest.fixture
def kaggle_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One variation, as kagglehub leaves it after a download."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    model = tmp_path / "kaggle" / "models/tensorflow/efficientdet/tensorFlow2/d0/1"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "variables" / "variables.index").write_bytes(b"index")
    model.with_name("1.complete").touch()
    return model


def test_a_kaggle_model_comes_out_of_its_clients_cache(kaggle_cache: Path, tmp_path: Path) -> None:
    source = parse_source(find_model("efficientdet_d0").source)
    assert source == Kaggle("tensorflow/efficientdet/tensorFlow2/d0", "1")
    (tmp_path / "into").mkdir()
    source.fetch(tmp_path / "into")
    assert (tmp_path / "into/saved_model.pb").read_bytes() == b"graph"
    assert (tmp_path / "into/variables/variables.index").read_bytes() == b"index"
    with pytest.raises(IntegrityError, match=r"holds no file labels\.txt"):
        Kaggle("tensorflow/efficientdet/tensorFlow2/d0", "1", ("labels.txt",)).fetch(tmp_path)


@pytest.mark.parametrize(
    ("handle", "says"),
    [("tensorflow/efficientdet/tensorFlow2/d7", "Error"), ("a/b/nothing/c", "ModelFramework")],
)
def test_a_kaggle_model_that_cannot_be_had_is_explained(
    kaggle_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, handle: str, says: str
) -> None:
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", NOWHERE)
    with pytest.raises(FetchError, match=rf"could not fetch {handle}/1 from Kaggle[^$]*{says}"):
        Kaggle(handle, "1").fetch(tmp_path)


def fetched_from_the_hub(tmp_path: Path, source: str, **environment: str) -> str:
    """What a fresh process says: the client reads its environment when it is imported."""
    code = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from quantbench.sources.parsing import parse_source
        from quantbench.errors import QuantbenchError
        folder = Path("into")
        folder.mkdir()
        time.sleep = lambda seconds, wait=time.sleep: wait(seconds / 100)  # between its attempts
        try:
            parse_source({source!r}).fetch(folder)
        except QuantbenchError as error:
            print(type(error).__name__, error)
        print(sorted(p.name for p in folder.rglob("*") if p.is_file()))
        """
    )
    variables = {"HF_HOME": str(tmp_path / "hub"), "PATH": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def hub_cache(tmp_path: Path) -> Path:
    snapshot = tmp_path / "hub/hub/models--facebook--detr-resnet-50/snapshots" / SHA
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md"):
        (snapshot / name).write_text(name)
    return snapshot


def test_a_hub_model_comes_out_of_its_clients_cache_without_the_network(
    hub_cache: Path, tmp_path: Path
) -> None:
    source = f"hf:facebook/detr-resnet-50=={SHA}#file=config.json&file=model.safetensors"
    said = fetched_from_the_hub(tmp_path, source, HF_ENDPOINT=NOWHERE)
    assert said == "['config.json', 'model.safetensors']\n"


def test_a_hub_model_that_cannot_be_had_is_explained(hub_cache: Path, tmp_path: Path) -> None:
    source = f"hf:facebook/detr-resnet-50=={SHA}#file=config.json&file=model.bin"
    said = fetched_from_the_hub(tmp_path, source, HF_HUB_OFFLINE="1")
    assert "holds no file model.bin" in said or "could not fetch" in said
    said = fetched_from_the_hub(
        tmp_path / "hub", "hf:facebook/another==main#file=config.json", HF_HUB_OFFLINE="1"
    )
    assert said.startswith(
        "FetchError could not fetch facebook/another==main from the Hugging Face"
    )
    assert said.endswith("[]\n")


@pytest.mark.parametrize(
    "text",
    ["hf:detr==main", "hf:facebook/detr", "kaggle:tensorflow/ssd==1", "kaggle:a/b/c/d", "hf:a/b=="],
)
def test_a_hubs_model_without_a_version_or_a_full_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a hub's model"):
        parse_source(text)


def test_files_of_a_hub_are_part_of_the_identity() -> None:
    whole, part = HuggingFace("a/b", SHA), HuggingFace("a/b", SHA, ("x",))
    assert whole.ingredients() != part.ingredients()


def test_wikitext_comes_out_of_its_clients_cache_as_the_file_that_it_was(tmp_path: Path) -> None:
    """Where the repository has it: in a folder of its own."""
    from datasets import Dataset

    repository = tmp_path / "hub/hub/datasets--Salesforce--wikitext"
    folder = repository / "snapshots" / SHA / "wikitext-2-raw-v1"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(SHA)
    rows = [{"text": text} for text in ("", " = A title = \n", "", " A sentence . \n")]
    Dataset.from_list(rows).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    data = find_dataset("wikitext2_hub")
    assert data.source is not None
    said = fetched_from_the_hub(tmp_path, data.source, HF_HUB_OFFLINE="1")
    assert said == "['test-00000-of-00001.parquet']\n"
    (found,) = data.samples({"evaluation": tmp_path / "into"}, "evaluation", None)
    assert (found.id, found.text) == ("A title", " \n = A title = \n \n A sentence . \n")
