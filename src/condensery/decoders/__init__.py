"""Decoders, which turn stored bases into training rows. Parameterizations differ only in their decoder."""

from condensery.decoders.decoder import Decoder, Pixels
from condensery.decoders.factorized import Encoder, Factorized
from condensery.decoders.formation import Bound, Learnable, MultiScale, Uniform, bound, from_cell_major

__all__ = [
    "Bound",
    "Decoder",
    "Encoder",
    "Factorized",
    "Learnable",
    "MultiScale",
    "Pixels",
    "Uniform",
    "bound",
    "from_cell_major",
]
