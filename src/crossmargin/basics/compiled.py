"""The one way to compile a kernel: float64 as written, no fast maths, one signature, cached on disk where that is safe.

Importing this module imports numba, which takes half a second: only modules of kernels do, and they are imported
only where a book is large enough to pay for it.

Why one explicit signature each: the cache then holds one entry a kernel and machine, so several processes that
start at once on a cold cache write the same bytes under the same name, each by an atomic rename. Without it two
signatures could claim one file.

numba tells a stale entry by the time and size of the file that defines the kernel, and by nothing else. So whatever a
kernel is made of stands in its own file or comes as an argument; who changes this module clears the cache (`make
clean`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
from numba import types

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

Floats = types.Array(types.float64, 1, "C", readonly=True)
Ints = types.Array(types.int64, 1, "C", readonly=True)
FloatsOut = types.Array(types.float64, 1, "C")
IntsOut = types.Array(types.int64, 1, "C")
TableOut = types.Array(types.float64, 2, "C")
IntTableOut = types.Array(types.int64, 2, "C")
Int = types.int64
Nothing = types.void


def compiled(result: types.Type, *arguments: types.Type) -> Callable[[_Kernel], _Kernel]:
    """Compile a function of `arguments` to `result`, free of the interpreter's lock while it runs.

    `fastmath` stays off: nothing is reordered and no multiplication is contracted with an addition, so the kernel
    rounds where the same loop in plain numpy rounds.
    """

    def decorate(kernel: _Kernel) -> _Kernel:
        options: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", "boundscheck": False}
        signature = result(*arguments)
        try:
            made = numba.njit(signature, cache=True, **options)(kernel)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            # Neither the package's folder nor the user's can be written: compile anew in every process.
            made = numba.njit(signature, **options)(kernel)
        return cast(_Kernel, made)

    return decorate


def inlined(function: _Kernel) -> _Kernel:
    """A part of kernels: put into each of them before it is compiled, for a call costs as much as a short loop."""
    made = numba.njit(nogil=True, fastmath=False, error_model="numpy", boundscheck=False, inline="always")(function)
    return cast(_Kernel, made)


def compiled_from(namespace: Mapping[str, Any], signatures: Mapping[str, Any]) -> dict[str, Any]:
    """Compile functions of a plain module without writing them again.

    Parameters
    ----------
    namespace : mapping of str to object
        The module's own; what its functions call among themselves is compiled too.
    signatures : mapping of str to signature
        Functions to compile for use from outside.

    Returns
    -------
    dict of str to compiled function
    """
    plain = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, FunctionType) and value.__module__ == namespace["__name__"]
    }
    # One namespace for all of them, in which every name of a function is its compiled form.
    scope: dict[str, Any] = dict(namespace)
    options: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", "boundscheck": False}
    copies = {name: FunctionType(one.__code__, scope, name) for name, one in plain.items()}
    for name, one in copies.items():
        one.__qualname__, one.__module__ = name, namespace["__name__"]
        scope[name] = numba.njit(**options)(one)
    made = {}
    for name, signature in signatures.items():
        made[name] = compiled(signature.return_type, *signature.args)(copies[name])
    return made
