"""Numba's compiler for the functions of the CPU kernels, with as little around their code as they need.

They let go of the interpreter; they count no references, so none may make an array without `_nrt=True`; they
divide as NumPy does, and C can't call them. All that saves a tenth of the time that compiling takes.
"""

import functools

import numba

compiled = functools.partial(  # pyright: ignore[reportCallIssue] Numba's stub knows few options
    numba.njit, nogil=True, _nrt=False, error_model="numpy", no_cfunc_wrapper=True
)
"""Decorator, with further options of `numba.njit`."""
