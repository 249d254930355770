"""Compiles the CUDA C of this folder to PTX with NVRTC 12.9. It needs the packages of requirements.txt and no GPU.

    python compile.py [NAME ...]

Every kernels/NAME.cu and ptx/testdata/NAME.cu becomes NAME.ptx beside it. The first line of the PTX names the
compiler, the options and the SHA-256 of the source with the headers (*.cuh) of both folders;
TestPTXIsCurrent refuses PTX whose source has changed. For the same source the bytes are the same.
"""
import ctypes
import glob
import hashlib
import os
import re
import sys

FOLDERS = ["kernels", "ptx/testdata"]
OPTIONS = ["--gpu-architecture=compute_80", "--std=c++17", "-default-device", "-lineinfo"]


def package(folder):
    for path in sys.path:
        if os.path.isdir(os.path.join(path, "nvidia", folder)):
            return os.path.join(path, "nvidia", folder)
    sys.exit(f"nvidia/{folder} is not installed: pip install -r requirements.txt")


def digest(source):
    """SHA-256 of the names and bytes of the source and all headers, as TestPTXIsCurrent computes it."""
    h = hashlib.sha256()
    for path in [source] + sorted(p for f in FOLDERS for p in glob.glob(f + "/*.cuh")):
        text = open(path, "rb").read()
        h.update(f"{path} {len(text)}\n".encode() + text)
    return h.hexdigest()


def compile(lib, source):
    """Returns PTX without paths of this machine."""
    options = OPTIONS + ["-I" + package("cuda_runtime") + "/include"] + ["-I" + f for f in FOLDERS]
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    lib.nvrtcCreateProgram(ctypes.byref(program), open(source, "rb").read(), os.path.basename(source).encode(), 0,
                           None, None)
    failed = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(
        *[o.encode() for o in options]))
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, log)
    if log.value.strip():
        print(log.value.decode())
    if failed:
        sys.exit(f"{source} does not compile")
    lib.nvrtcGetPTXSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetPTX(program, text)
    # NVRTC writes the folder in which it runs before relative names. Where a function was inlined is left out, which
    # halves the size.
    ptx = text.raw.rstrip(b"\0").replace(b'"' + os.getcwd().encode() + b"/", b'"')
    return re.sub(rb", function_name .*|\t// (begin|end) inline asm\n", b"", ptx)


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    lib = ctypes.CDLL(glob.glob(package("cuda_nvrtc") + "/lib/libnvrtc.so*")[0])
    for source in sorted(p for f in FOLDERS for p in glob.glob(f + "/*.cu")):
        name = os.path.basename(source)[:-3]
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        text = compile(lib, source)
        head = f"// nvrtc 12.9 {' '.join(OPTIONS)}; source sha256 {digest(source)}\n"
        with open(source[:-3] + ".ptx", "wb") as f:
            f.write(head.encode() + text)
        print(f"{source[:-3]}.ptx: {len(text)} bytes")


main()
