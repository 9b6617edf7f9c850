"""Checkpoints that transformers runs, described."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.backends.transformers.detectors import DETECTORS
from quantbench.backends.transformers.recovering.names import Recovery
from quantbench.protocols import Backend, Import, Mending
from quantbench.study import Gate, Scheme
from quantbench.study.family import ListedSchemes

_HERE = "quantbench.backends.transformers"
_GROUPED = re.compile(r"(?P<tool>gptq|autogptq|hqq)_int(?P<bits>[2348])_g(?P<group>[1-9]\d*)")
_MIXED = re.compile(r"gptq_mixed_g(?P<group>[1-9]\d*)")


@dataclass(frozen=True)
class _Schemes(ListedSchemes):
    """Those that are listed, and those whose names say bits and group size."""

    @property
    def names(self) -> tuple[str, ...]:
        some = [f"{tool}_int{bits}_g64" for tool in ("gptq", "hqq") for bits in (2, 3, 4, 8)]
        recovered = ("gptq_int3_g64_lora16", "gptq_int3_g64_eora16", "bnb_nf4_lora16")
        return (*super().names, *some, "gptq_mixed_g64", *recovered)

    @property
    def patterns(self) -> tuple[str, ...]:
        return (
            *super().names,
            "gptq_int{2,3,4,8}_g{group size} (autogptq_, hqq_)",
            "gptq_mixed_g{group size}",
            "{gptq_... or bnb_...}_lora{rank}_{thousands of tokens}k, _eora{rank}",
        )

    def parse(self, name: str) -> Scheme | None:
        if match := _GROUPED.fullmatch(name):
            bits, group = f"int{match['bits']}", int(match["group"])
            return Scheme(name, self.backend, match["tool"], bits, "float", group)
        if match := _MIXED.fullmatch(name):  # four bits for most layers: its recipe says which
            return Scheme(name, self.backend, "gptq_mixed", "int4", "float", int(match["group"]))
        if (listed := super().parse(name)) is not None:
            return listed
        recovery = Recovery.parse(name)
        return recovery.scheme(name, self.parse(recovery.base)) if recovery else None


BACKEND = Backend(
    name="transformers",
    schemes=_Schemes(
        "transformers",
        {
            "reference": {
                "reference": ("float", "float"),
                **{
                    f"reference_{kind}": (kind, kind) for kind in ("float32", "bfloat16", "float16")
                },
            },
            "bitsandbytes": {"bnb_int8": ("int8", "float"), "bnb_nf4": ("nf4", "float")},
            "torchao": {"torchao_int8": ("int8", "float")},
        },
    ),
    runner=f"{_HERE}.runner:CausalLMRunner",
    quantizers={
        "reference": f"{_HERE}.quantizers.reference:ReferenceQuantizer",
        "gptq": f"{_HERE}.quantizers.gptq:GPTQQuantizer",
        "gptq_mixed": f"{_HERE}.quantizers.gptq_mixed:MixedGPTQQuantizer",
        "autogptq": f"{_HERE}.quantizers.autogptq:AutoGPTQQuantizer",
        "bitsandbytes": f"{_HERE}.quantizers.bitsandbytes:BitsAndBytesQuantizer",
        "torchao": f"{_HERE}.quantizers.torchao:TorchAOQuantizer",
        "hqq": f"{_HERE}.quantizers.hqq:HQQQuantizer",
        "recovered": f"{_HERE}.recovering.quantizer:RecoveringQuantizer",
    },
    starts_from=("hf_checkpoint",),
    importers={
        "gguf": Import("gguf", "hf_checkpoint", f"{_HERE}.importers.gguf:GGUFImporter"),
        "random_checkpoint": Import(
            "architecture",
            "hf_checkpoint",
            f"{_HERE}.importers.random_checkpoint:RandomCheckpointImporter",
            tuple(ARCHITECTURES),
        ),
        "random_detr": Import(
            "architecture",
            "torch_export",
            f"{_HERE}.importers.random_detector:RandomDetrImporter",
            tuple(DETECTORS),
        ),
    },
    diagnosis=f"{_HERE}.diagnosis.language:language_looks",
    profile=f"{_HERE}.diagnosis.speed:profile",
    plain="reference",
    mendings={
        # 100 passages calibrate, 1500 judge: 500 cannot tell two points.
        "gptq_mixed": Mending(Gate("accuracy", 0.02), 1600, 7, f"{_HERE}.mending.bits:mixed")
    },
    mended="gptq_mixed_g64",
    recovered="{scheme}_lora16",
    needs=f"{_HERE}.needs:TransformersNeeds",
)
