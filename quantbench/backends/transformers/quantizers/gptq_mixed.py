"""Scheme `gptq_mixed_g64`: GPTQ with bits of its own for each layer, built from its recipe.

A recipe is small JSON that a person can read and commit: the bits of all layers but some, the bits
of these, and why.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.gptq import quantize_checkpoint
from quantbench.diagnosis.recipe_files import RECIPE, SCHEMA, read_recipe, recipe_file
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt
    from quantbench.study import Scheme

WIDTHS = (2, 3, 4, 5, 6, 8)
_OPTIONS: Mapping[str, type] = {
    **dict.fromkeys(("sym", "desc_act", "static_groups", "act_group_aware"), bool),
    "mse": float,
}
_KEYS = {"schema", "default", "bits", "options", "notes"}
_SCALE_BITS = 16


@dataclass(frozen=True)
class BitRecipe:
    """What a mixed GPTQ checkpoint is made by.

    Attributes:
        bits: of each layer that differs, by its name in the float checkpoint.
        default: bits of all others.
        options: gptqmodel's own for all layers (`sym`, `desc_act`, `static_groups`,
            `act_group_aware`, `mse`), where they are not its defaults.
        notes: how the recipe was found, and why each layer got its bits, for people.
    """

    bits: Mapping[str, int]
    default: int = 4
    options: Mapping[str, bool | float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Sorted and indented."""
        data = {"schema": SCHEMA, **{name: _plain(value) for name, value in vars(self).items()}}
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def parse(cls, path: Path) -> BitRecipe:
        """Read a recipe back.

        Raises:
            BuildError: it is none, or of a newer version.
        """
        with read_recipe(path, "recipe of bits", "default, bits, options, notes") as data:
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']!r}")
            if unknown := set(data) - _KEYS:
                raise ValueError(f"unknown {', '.join(sorted(unknown))}")
            return cls(
                bits={str(layer): _width(bits) for layer, bits in data["bits"].items()},
                default=_width(data["default"]),
                options={name: _option(name, value) for name, value in data["options"].items()},
                notes=dict(data["notes"]),
            )

    def of(self, layer: str) -> int:
        """Bits of a layer."""
        return self.bits.get(layer, self.default)

    def average(self, sizes: Mapping[str, int]) -> float:
        """Bits of one weight's code, on average.

        Args:
            sizes: weights of each layer that is quantized. Embeddings and head are none of them.
        """
        return sum(n * self.of(layer) for layer, n in sizes.items()) / sum(sizes.values())

    def average_stored(self, sizes: Mapping[str, int], group: int) -> float:
        """The same with what each group keeps beside its codes: a 16-bit scale, a zero point."""
        beside = (_SCALE_BITS + self.average(sizes)) / group
        return self.average(sizes) + beside

    def dynamic(self) -> dict[str, dict[str, int]]:
        """The layers that differ, as gptqmodel is data: one expression for each width."""
        widths = sorted(set(self.bits.values()) - {self.default})
        return {
            "^(?:"
            + "|".join(re.escape(name) for name, bits in self.bits.items() if bits == width)
            + ")$": {"bits": width}
            for width in widths
        }


class MixedGPTQQuantizer:
    """A float checkpoint and a recipe to a GPTQ checkpoint of several widths.

    The recipe stays beside the checkpoint, as `recipe.json`.
    """

    tools = ("gptqmodel", "torch", "transformers")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[Prompt],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Quantize and check what is stored; `scheme.recipe` is the recipe's file.

        Raises:
            BuildError: there is no recipe, it names layers that the model does not have, or the
                checkpoint holds other widths than it says.
        """
        recipe = BitRecipe.parse(recipe_file(scheme))
        config = {
            "bits": recipe.default,
            "group_size": scheme.group_size,
            "dynamic": recipe.dynamic() or None,
            **recipe.options,
        }
        facts = quantize_checkpoint(float_model, config, samples, folder)
        shutil.copyfile(scheme.recipe, folder / RECIPE)
        stored = stored_layers(folder)
        _check_stored(recipe, {layer: bits for layer, (bits, _) in stored.items()}, folder)
        sizes = {layer: n for layer, (_, n) in stored.items()}
        return {
            **facts,
            "bits_per_weight": round(recipe.average(sizes), 4),
            "bits_per_weight_with_scales": round(
                recipe.average_stored(sizes, scheme.group_size or 1), 4
            ),
            "layers_at_bits": {
                str(width): sum(recipe.of(layer) == width for layer in sizes)
                for width in sorted({recipe.of(layer) for layer in sizes})
            },
        }


def stored_layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Bits and number of weights of each packed layer in a GPTQ checkpoint's files."""
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - a handle, not a dict
                layer, _, kind = name.rpartition(".")
                if kind == "qweight":
                    # Codes of a column, [inputs * bits / 32, outputs] words.
                    words, outputs = tensors.get_slice(name).get_shape()
                    (inputs,) = tensors.get_slice(f"{layer}.g_idx").get_shape()
                    found[layer] = (32 * words // inputs, inputs * outputs)
    return found


def _check_stored(recipe: BitRecipe, stored: Mapping[str, int], folder: Path) -> None:
    """An expression that fits nothing is skipped in silence by the tool."""
    if unknown := sorted(set(recipe.bits) - set(stored)):
        raise BuildError(
            "a recipe names layers that the model does not have, or that are not quantized",
            got=", ".join(unknown)[:300],
            remedy="search again: the recipe is another model's",
        )
    wrong = {layer: bits for layer, bits in stored.items() if bits != recipe.of(layer)}
    if wrong or not stored:
        layer = next(iter(wrong), "")
        raise BuildError(
            "the checkpoint holds other widths than its recipe says",
            where=f"{folder.name}, {layer or 'no packed layer at all'}",
            expected=f"{recipe.of(layer)} bits",
            got=f"{wrong.get(layer, 0)} bits",
            remedy="report it: gptqmodel reads its dynamic settings in another way",
        )


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "items") else value


def _width(bits: Any) -> int:
    if isinstance(bits, bool) or bits not in WIDTHS:
        raise ValueError(f"{str(bits)[:40]!r} bits, none of {', '.join(map(str, WIDTHS))}")
    return int(bits)


def _option(name: str, value: Any) -> bool | float:
    kind = _OPTIONS.get(name)
    if kind is None:
        raise ValueError(f"unknown option {name!r}, none of {', '.join(_OPTIONS)}")
    if kind is bool and not isinstance(value, bool):
        raise TypeError(f"{name} is no truth value")
    if kind is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{name} is no number")
    return kind(value)  # type: ignore[no-any-return]
