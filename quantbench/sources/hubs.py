"""Files from model hubs, by the hubs' own clients and caches."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.errors import FetchError, IntegrityError
from quantbench.sources.names import inner_path

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class HuggingFace:
    """Files of a Hugging Face repository at one revision.

    Attributes:
        repository: `owner/name` of a model, `datasets/owner/name` of a data set.
        revision: a commit's 40 digits; a branch or tag is taken as it stands when first fetched.
        files: paths inside the repository or patterns such as `*.safetensors`, or () for all.
    """

    repository: str
    revision: str
    files: tuple[str, ...] = ()

    def ingredients(self) -> Mapping[str, Any]:
        """Repository, revision, files."""
        return {"hf": self.repository, "revision": self.revision, "files": list(self.files)}

    def fetch(self, folder: Path) -> None:
        """Copy the files out of the client's cache, after downloading what is not there.

        Raises:
            FetchError: no connection, no such repository or revision, or no permission.
            IntegrityError: the revision lacks a file.
        """
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError

        pin = f"{self.repository}=={self.revision}"
        name = self.repository.removeprefix("datasets/")
        wanted = {
            "repo_id": name,
            "repo_type": "model" if name == self.repository else "dataset",
            "revision": self.revision,
            "allow_patterns": list(self.files) or None,
        }
        snapshot = None
        # Files in the cache already are not asked of the network; of patterns only it knows all.
        if self.files and not any("*" in file for file in self.files):
            try:
                snapshot = Path(snapshot_download(local_files_only=True, **wanted))
            except (OSError, HFValidationError):
                snapshot = None
        if snapshot is None or not all(_matching(snapshot, file) for file in self.files):
            try:
                snapshot = Path(snapshot_download(**wanted))
            except Exception as error:  # the client raises its own, and its HTTP library's
                raise _unreachable(pin, "the Hugging Face Hub", error) from error
        _copy(snapshot, self.files, pin, folder)


@dataclass(frozen=True)
class Kaggle:
    """One variation of a Kaggle model.

    Attributes:
        handle: `owner/model/framework/variation`.
        version: its number.
        files: paths inside the model, or () for all of it.
    """

    handle: str
    version: str
    files: tuple[str, ...] = ()

    def ingredients(self) -> Mapping[str, Any]:
        """Handle, version, files."""
        return {"kaggle": self.handle, "version": self.version, "files": list(self.files)}

    def fetch(self, folder: Path) -> None:
        """Copy the files out of kagglehub's cache, after downloading what is not there.

        Raises:
            FetchError: no connection, no such model, or no permission.
            IntegrityError: the model lacks a file.
        """
        import kagglehub

        pin = f"{self.handle}/{self.version}"
        try:
            found = Path(kagglehub.model_download(pin))
        except Exception as error:  # the client raises its own, requests' and ValueError
            raise _unreachable(pin, "Kaggle", error) from error
        _copy(found, self.files, pin, folder)


def _copy(source: Path, files: tuple[str, ...], pin: str, folder: Path) -> None:
    """The named files, keeping their paths; all but hidden ones if none is named."""
    found = {pattern: _matching(source, pattern) for pattern in files or ("**/*",)}
    for pattern, paths in found.items():
        if not any(path.is_file() for path in paths):
            raise IntegrityError(
                f"{pin} holds no file {pattern}", remedy="correct the source's file="
            )
        for path in paths:
            name = path.relative_to(source)
            if path.is_file() and (files or not name.parts[0].startswith(".")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / name)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """What a pattern means inside the folder: nothing, if it leaves it or means nothing at all."""
    try:
        return sorted(folder.glob(inner_path(pattern)))
    except (TypeError, ValueError):
        return []


def _unreachable(pin: str, hub: str, error: Exception) -> FetchError:
    said = " ".join(str(error).split())
    gated = type(error).__name__ == "GatedRepoError"
    return FetchError(
        f"could not fetch {pin} from {hub}",
        got=f"{type(error).__name__}: {said[:500]}",
        remedy="accept its licence on the model's page, then log in (hf auth login, or a token in "
        "HF_TOKEN)"
        if gated
        else "check the connection, the name and the login of the hub's own client; files that "
        "are in its cache are taken from there",
    )
