"""How weights and activations are stored, and by which backend."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from quantbench.errors import UsageError, meant
from quantbench.study.calibration import calibrates
from quantbench.study.registry import backends, broken_backends, find_quantizer

_SEED = re.compile(r"(?P<scheme>.+)_s(?P<seed>[1-9]\d*)")
_FLOAT_BITS = 32


@dataclass(frozen=True)
class Scheme:
    """How weights and activations are stored, decoded from a name such as `gptq_int4_g64`.

    Attributes:
        name: the name it was parsed from.
        backend: entry point (group `quantbench.backends`) that runs it.
        quantizer: one of the backend's, or `module:class` of your own, that builds it.
        weights: storage of the weights: `float32`, `float16`, `int8`, `int4`, `q4_k_m`, ...
        activations: storage of the activations, or "float" for the runner's own choice.
        group_size: weights sharing a scale, or None for the quantizer's own granularity.
        seed: of the draw of calibration samples, said by the suffix `_s1` and so on; 0 takes the
            first ones.
        recipe: file of a recipe that `quantbench mend` wrote, of `int8_mended` and
            `gptq_mixed_g64`; "" searches one.
    """

    name: str
    backend: str
    quantizer: str
    weights: str
    activations: str
    group_size: int | None = None
    seed: int = 0
    recipe: str = ""

    @classmethod
    def parse(cls, name: str | Scheme) -> Scheme:
        """Decode a scheme's name, by the first backend that knows it; a scheme passes through.

        Raises:
            UsageError: no backend has a scheme of this name; the message lists what exists. Or it
                has a seed, and its quantizer does not calibrate.
        """
        if isinstance(name, Scheme):
            return name
        if not isinstance(name, str):
            raise UsageError("no scheme", expected="its name, or one of yours", got=repr(name))
        known = backends().values()
        for backend in known:
            if (scheme := backend.schemes.parse(name)) is not None:
                return scheme
        if match := _SEED.fullmatch(name):
            scheme = cls.parse(match["scheme"])
            if calibrates(find_quantizer(scheme), scheme) is False:
                raise UsageError(f"{scheme.name} is not calibrated: a seed changes nothing")
            return replace(scheme, name=name, seed=int(match["seed"]))
        if broken := list(broken_backends().values()):
            raise broken[0]  # it may be the one that knows the name
        patterns = [pattern for backend in known for pattern in backend.schemes.patterns]
        raise UsageError(
            f"unknown scheme {name!r}",
            remedy=meant(name, [each for backend in known for each in backend.schemes.names]),
            expected=(", ".join(patterns) or "no backend is registered; is quantbench installed?")
            + "; with _s1, _s2, ... for other draws of calibration "
            "samples",
        )

    @property
    def unseeded(self) -> str:
        """Its name without its draw of calibration samples."""
        return self.name.removesuffix(f"_s{self.seed}") if self.seed else self.name

    @property
    def static(self) -> bool:
        """Whether activations are integers in ranges that are fixed, and so come from samples."""
        return self.activations.startswith("int")

    @property
    def bits(self) -> int:
        """Bits of one weight's code, the first number in the name of its storage; 32 without one.

        `float16` has 16, `nf4` 4, `q4_0` and `q4_k_m` 4. What a group keeps beside is left out.
        """
        digits = re.search(r"\d+", self.weights)
        return int(digits[0]) if digits else _FLOAT_BITS
