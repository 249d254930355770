"""Assembles the PTX of kernels/ with ptxas 12.9 and writes RESOURCES.md: registers, shared memory, spills and
occupancy of each kernel. It needs the packages of requirements.txt and no GPU, and fails if a kernel spills registers.

    python resources.py
"""
import glob
import os
import re
import subprocess
import sys

# By architecture: threads, blocks and bytes of shared memory of a multiprocessor (CUDA C++ Programming Guide, table of
# compute capabilities). Each has 65,536 registers, given to warps in units of 256; a block takes 1 KiB of shared
# memory for the system.
CHIPS = {"sm_80": (2048, 32, 164 << 10), "sm_86": (1536, 16, 100 << 10), "sm_89": (1536, 24, 100 << 10),
         "sm_90": (2048, 32, 228 << 10)}

# Of product.go: the sizes of tiles, with the number of stages, and the bytes of a stored and of a widened value.
TILES = {"few": (16, 32, 128, 4), "some": (64, 64, 32, 4), "many": (128, 128, 32, 3)}
VALUES = {"bf16": (2, 0), "int8": (1, 2), "nf4": (0.5, 2)}

HEAD = """# What the kernels take

Made by `task gpu-resources` with ptxas 12.9; no kernel spills registers. For each architecture: registers of a thread,
and the share of a multiprocessor's warps that run at once. sm_80 is the A100, sm_86 the RTX 30 series, sm_89 the RTX
40 series, sm_90 the H100 and H200. What a roofline predicts for whole jobs is in
[integration/gpu/RESULTS.md](../../../../integration/gpu/RESULTS.md).

| file | kernel | threads | shared memory | """


def package(folder):
    for path in sys.path:
        if os.path.isdir(os.path.join(path, "nvidia", folder)):
            return os.path.join(path, "nvidia", folder)
    sys.exit(f"nvidia/{folder} is not installed: pip install -r requirements.txt")


def dynamic(kernel):
    """The dynamic shared memory of a product, as tile.shared in product.go."""
    values, tile = kernel.split("_")[0], TILES.get(kernel.split("_")[-1])
    if values not in VALUES or not tile:
        return 0
    (m, n, k, stages), (stored, wide) = tile, VALUES[values]
    return int(stages * (2 * m * k + stored * n * k) + wide * n * k)


def occupancy(chip, threads, registers, shared):
    most, blocks, memory = CHIPS[chip]
    warps = threads // 32
    registers = (registers * 32 + 255) // 256 * 256 * warps
    return min(most // threads, blocks, 65536 // registers, memory // (shared + 1024)) * threads / most


def assemble(path, chip):
    """Yields name, registers, static shared memory and spilled bytes of each kernel."""
    out = subprocess.run([package("cuda_nvcc") + "/bin/ptxas", "-v", "-arch=" + chip, path, "-o", os.devnull],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    name = spills = None
    for line in out.stderr.splitlines():
        if m := re.search(r"Compiling entry function '(\w+)'", line):
            name = m[1]
        if m := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spills = int(m[1]) + int(m[2])
        if m := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            yield name, int(m[1]), int(shared[1]) if shared else 0, spills


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    rows, spilled = {}, []
    for path in sorted(glob.glob("kernels/*.ptx")):
        text = open(path).read()
        threads = {name: int(n) for name, n in re.findall(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)", text)}
        for chip in CHIPS:
            for name, registers, shared, spills in assemble(path, chip):
                block, bytes_ = threads.get(name, 256), shared + dynamic(name)
                row = rows.setdefault((os.path.basename(path)[:-4], name), [block, bytes_])
                row += [registers, f"{occupancy(chip, block, registers, bytes_):.0%}"]
                if spills:
                    spilled.append(f"{name} spills {spills} bytes on {chip}")
    with open("RESOURCES.md", "w") as f:
        f.write(HEAD + " | ".join(c + " | " for c in CHIPS) + " |\n" + "|---" * (4 + 2 * len(CHIPS)) + "|\n")
        for (file, name), row in sorted(rows.items()):
            f.write(f"| {file} | {name} | " + " | ".join(map(str, row)) + " |\n")
    sys.exit("\n".join(spilled) or 0)


main()
