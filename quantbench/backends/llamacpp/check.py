"""What every GGUF build must show about itself before it is stored."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.llamacpp.files import weight_facts
from quantbench.backends.llamacpp.model import Model
from quantbench.backends.llamacpp.scoring import score, targets
from quantbench.backends.llamacpp.tokens import check_tokens
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt

CHECKED = 3  # prompts
_LEAST_BITS = 1.0


def check_build(path: Path, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Load a GGUF file and score a few prompts; returns facts.

    Raises:
        BuildError: it answers NaN or infinity, or loses its weights.
        PredictionError: llama.cpp cannot load or run it, or its tokenizer is another.
    """
    facts = weight_facts(path)
    if not facts["bits_per_weight"] >= _LEAST_BITS:
        raise BuildError(
            "the model that was written holds next to no weights",
            where=path.name,
            expected=f"at least {_LEAST_BITS:g} bits a weight",
            got=facts["bits_per_weight"],
        )
    seen = list(prompts[:CHECKED])
    with Model(path) as model:
        facts["described"] = model.description
        check_tokens(model, seen)
        for prompt in seen:
            room, wanted = len(prompt.tokens), targets(prompt)
            with closing(model.context(room, threads=1, outputs=wanted)) as context:
                (said,) = score(context, [prompt])
            if not np.isfinite(said["logprobs"]).all():
                raise BuildError(
                    "the built model answers NaN or infinity",
                    where=path.name,
                    got=said["logprobs"],
                    remedy="take a wider scheme: this one breaks the model",
                )
    return facts
