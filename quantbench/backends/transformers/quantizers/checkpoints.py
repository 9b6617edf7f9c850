"""What every quantizer of checkpoints does with the files around the weights."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer's files that the quantizer has not written itself."""
    for pattern in ("tokenizer*", "special_tokens_map.json", "vocab.json", "merges.txt"):
        for path in source.glob(pattern):
            if not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
