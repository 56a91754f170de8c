"""The sparsity of gradual magnitude pruning by Zhu and Gupta 2017, equation 1, in exact fractions: before which steps weights
are pruned, and to which share. Writes gmp.json. Python 3 without packages.

    python3 tests/golden/gmp.py
"""

import json
from fractions import Fraction
from pathlib import Path

CASES = [
    # GMP★'s 30 epochs: begin after 2, end after 26, ten prunings an epoch.
    dict(total=900, per_epoch=30, begin="2/30", end="26/30", frequency=10, initial="0.7", final="0.9"),
    # The first share by the rule, and an end that is no multiple of the distance.
    dict(total=101, per_epoch=34, begin="2/30", end="26/30", frequency=10, initial=None, final="0.5"),
    # From nothing, over the whole training, before every step.
    dict(total=7, per_epoch=7, begin="0", end="1", frequency=50, initial="0", final="0.99"),
    # At once: the first share is more than the final one.
    dict(total=60, per_epoch=20, begin="0.5", end="0.5", frequency=1, initial="0.7", final="0.3"),
    dict(total=60, per_epoch=20, begin="0.25", end="0.75", frequency=2, initial="0.7", final="0.3"),
]


def prunings(total, per_epoch, begin, end, frequency, initial, final):
    begin, end, final = (Fraction(x) for x in (begin, end, final))
    first = Fraction(7, 9) * final if initial is None else min(Fraction(initial), final)
    start, stop = (min(int(part * total + Fraction(1, 2)), total - 1) for part in (begin, end))
    every = max(per_epoch // frequency, 1)
    steps = sorted({*range(start, stop + 1, every), stop})
    for step in steps:
        done = Fraction(step - start, stop - start) if stop > start else Fraction(1)
        yield step, float(final + (first - final) * (1 - done) ** 3)


golden = []
for case in CASES:
    number = {key: float(Fraction(value)) if isinstance(value, str) else value for key, value in case.items()}
    golden.append(number | {"prunings": list(prunings(**case))})
Path(__file__).with_name("gmp.json").write_text(json.dumps(golden) + "\n")
