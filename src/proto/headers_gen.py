#!/usr/bin/env python3
"""headers_gen.py headers.def OUT: finds a perfect hash over the names of headers.def and writes its constants and table as C.

The hash looks at the length and the first, middle and last byte of a name, so finding a name costs three loads and one compare.
Deterministic: the same names give the same file.
"""
import random
import re
import sys

SIZE = 256


def main(source, target):
    names = re.findall(r'^SL_HDR\(\w+,\s*"([^"]+)"', open(source, encoding="ascii").read(), re.M)
    if len(names) != len(set(names)) or not names or len(names) > 63:
        sys.exit(f"{source}: {len(names)} names; they must differ and be 1 to 63")
    keys = {}
    for name in names:
        if not re.fullmatch(r"[a-z0-9-]{2,32}", name):
            sys.exit(f"{source}: {name}: names are 2 to 32 of a-z, 0-9 and '-'")
        folded = [ord(c) | 0x20 for c in name]
        key = (len(name), folded[0], folded[len(name) // 2], folded[-1])
        if key in keys:
            sys.exit(f"{source}: {name} and {keys[key]} look the same to the hash; let it look at one more byte")
        keys[key] = name

    rng = random.Random(1)
    for attempt in range(1_000_000):
        mul = [rng.randrange(1, SIZE) for _ in range(4)]
        if len({sum(k * m for k, m in zip(key, mul)) % SIZE for key in keys}) == len(keys):
            break
    else:
        sys.exit(f"{source}: no perfect hash found; enlarge SIZE")

    table = [0] * SIZE
    for index, key in enumerate(keys, 1):
        table[sum(k * m for k, m in zip(key, mul)) % SIZE] = index
    with open(target, "w", encoding="ascii") as out:
        out.write("/* Made by headers_gen.py from headers.def. Included by headers.c alone. */\n")
        out.write("enum { HASH_LEN = %d, HASH_FIRST = %d, HASH_MIDDLE = %d, HASH_LAST = %d };\n" % tuple(mul))
        out.write("static const uint8_t hash_ids[%d] = {\n" % SIZE)
        for row in range(0, SIZE, 16):
            out.write("\t" + ", ".join(f"{v:2d}" for v in table[row:row + 16]) + ",\n")
        out.write("};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
