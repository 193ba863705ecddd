"""Frames per second of the built-in world on one core, building the streets included.

    python benchmarks/render_speed.py

Twelve streets of 100 frames at each size; the kernels are compiled and the textures made before the clock starts.
"""

from __future__ import annotations

import time

from distilvo.world.street import make_street

SIZES = ((48, 160), (96, 320), (192, 640))


def main() -> None:
    """Print frames/s of CPU time, with and without building the streets."""
    for seed in range(30):  # every texture set once
        make_street(seed, 2, SIZES[0]).render(0)
    for size in SIZES:
        built = rendered = 0.0
        for seed in range(12):
            begin = time.process_time()
            street = make_street(seed, 100, size)
            street.render(0)
            middle = time.process_time()
            for index in range(1, 100):
                street.render(index)
            built, rendered = built + middle - begin, rendered + time.process_time() - middle
        print(f"{size[1]}x{size[0]}: {1188 / rendered:.0f} frames/s, building included {1200 / (built + rendered):.0f}")


if __name__ == "__main__":
    main()
