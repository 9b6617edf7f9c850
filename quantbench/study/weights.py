"""How many weights a model has: what is known of it before its files are here."""

from __future__ import annotations

from dataclasses import dataclass

from quantbench.errors import UsageError

_BITS_A_BYTE = 8


@dataclass(frozen=True)
class Weights:
    """The size of a float model.

    Attributes:
        parameters: all of its weights, each once where two layers share it; at least 1.
        embedding: those of token tables and of an untied head, which quantizers of language models
            leave in float; 0 to `parameters`.
        stored_bits: of one weight in the source's files; None where nobody says.
        exact: they were counted or published; False where they follow from the size of files.
    """

    parameters: int
    embedding: int = 0
    stored_bits: float | None = None
    exact: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that no model has.

        Raises:
            UsageError: a field is out of its range.
        """
        if self.parameters < 1 or not 0 <= self.embedding <= self.parameters:
            raise UsageError(
                "no model has so many weights",
                expected="parameters from 1, embedding from 0 to parameters",
                got=f"parameters={self.parameters}, embedding={self.embedding}",
            )
        if self.stored_bits is not None and not self.stored_bits > 0:
            raise UsageError("a weight is stored in some bits", got=self.stored_bits)

    @property
    def stored_bytes(self) -> float | None:
        """Of the source's files, without what stands beside the weights."""
        bits = self.stored_bits
        return None if bits is None else self.parameters * bits / _BITS_A_BYTE

    def bytes_at(self, bits: float, embedding_bits: float | None = None) -> float:
        """With so many bits a weight, those of the embedding in others where they are said."""
        kept = bits if embedding_bits is None else embedding_bits
        inner = self.parameters - self.embedding
        return (inner * bits + self.embedding * kept) / _BITS_A_BYTE
