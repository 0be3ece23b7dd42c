"""How much two pictures differ to the eye: the part of 16 by 16 pixel blocks whose structural similarity (Wang et al., 2004) is
below 0.9 in any of the three colours. Rounding of edges moves no block below that; a line, a label or a bar elsewhere does."""
import sys

import numpy
from PIL import Image

BLOCK = 16
SIMILAR = 0.9
TOLERANCE = 0.002  # of 2812 blocks: 5


def _blocks(path):
    pixels = numpy.asarray(Image.open(path).convert("RGB"), dtype=float)
    high, wide = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    pixels = pixels[:high * BLOCK, :wide * BLOCK]
    return pixels.reshape(high, BLOCK, wide, BLOCK, 3).transpose(0, 2, 4, 1, 3).reshape(high, wide, 3, -1)


def similarity(one, other):
    """The lowest of the three colours' SSIM, for each block; None when the sizes differ."""
    a, b = _blocks(one), _blocks(other)
    if a.shape != b.shape:
        return None
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = a.mean(axis=-1), b.mean(axis=-1)
    both = (a * b).mean(axis=-1) - mean_a * mean_b
    ssim = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a ** 2 + mean_b ** 2 + c1) * (a.var(axis=-1) + b.var(axis=-1) + c2))
    return ssim.min(axis=-1)


def difference(one, other):
    """0 (alike) to 1; 1 when the sizes differ."""
    found = similarity(one, other)
    return 1.0 if found is None else float((found < SIMILAR).mean())


if __name__ == "__main__":
    print(f"{difference(sys.argv[1], sys.argv[2]):.4f} of the blocks differ, {TOLERANCE} are allowed")
