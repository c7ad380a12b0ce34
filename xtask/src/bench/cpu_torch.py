"""Makes PyTorch's CUDA wheel usable without CUDA: libraries that nothing on a processor calls become stubs.

The whole set of CUDA packages is gigabytes; the kernels for the processor are all in libtorch_cpu.so."""

import importlib.util
import pathlib
import subprocess

lib = pathlib.Path(importlib.util.find_spec("torch").submodule_search_locations[0], "lib")


def symbols(name, kind):
    listed = subprocess.run(["nm", "-D", kind, lib / name], check=True, capture_output=True, text=True)
    return {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()}


def stub(name, source, *arguments):
    (lib / "stub.c").write_text(source)
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", *arguments, "-o", lib / name, lib / "stub.c"]
    subprocess.run(command, check=True)
    (lib / "stub.c").unlink()


def definition(symbol):
    if symbol.startswith("_ZTI"):  # type information: its name is read when Python classes are registered
        return f'const void *{symbol}[3] = {{0, "{symbol[4:]}", 0}};'
    if symbol.startswith("_ZTV"):
        return f"const void *{symbol}[64];"
    return f"void *{symbol}(void) {{ return nothing; }}"


gone = ["libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so"]
offered = set().union(*(symbols(name, "--defined-only") for name in gone))
kept = set().union(*(symbols(name, "--defined-only") for name in ["libtorch_cpu.so", "libc10.so", "libc10_cuda.so"]))
missing = symbols("libtorch_python.so", "--undefined-only") - kept
needed = sorted(name for name in missing if name in offered or name.startswith("cuFile"))
for name in gone:
    (lib / name).unlink()
stub("libtorch_cuda.so", "static char nothing[65536];\n" + "\n".join(map(definition, needed)))
stub("libcufile.so.0", "void modloop_stub(void) {}")
stub("libcudnn.so.9", "void *cudnnGetProperty(void) { return 0; }", "-Wl,--default-symver")
