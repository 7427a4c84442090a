"""The CPU implementations: vector code made with Numba and llvmlite."""
