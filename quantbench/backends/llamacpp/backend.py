"""llama.cpp, described."""

from __future__ import annotations

from quantbench.backends.llamacpp.schemes import GGUFSchemes
from quantbench.protocols import Backend, Import

_HERE = "quantbench.backends.llamacpp"

BACKEND = Backend(
    name="llamacpp",
    schemes=GGUFSchemes(),
    runner=f"{_HERE}.runner:LlamaCppRunner",
    quantizers={
        "gguf_float": f"{_HERE}.quantizers.rounded:FloatQuantizer",
        "gguf_rounded": f"{_HERE}.quantizers.rounded:RoundedQuantizer",
        "gguf_weighted": f"{_HERE}.quantizers.rounded:WeightedQuantizer",
        "gguf_as_shipped": f"{_HERE}.quantizers.as_shipped:AsShippedQuantizer",
    },
    starts_from=("gguf_checked",),
    profile=f"{_HERE}.diagnosis.speed:profile",
    plain="gguf_bf16",
    importers={
        "gguf_checked": Import("gguf", "gguf_checked", f"{_HERE}.importers.gguf:GGUFImporter"),
        "hf_gguf": Import(
            "hf_checkpoint", "gguf_checked", f"{_HERE}.importers.checkpoint:CheckpointImporter"
        ),
    },
    needs=f"{_HERE}.needs:LlamaCppNeeds",
)
