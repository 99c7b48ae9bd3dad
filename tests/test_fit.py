"""Compiled code that threads cannot run side by side is refused where it is given, with the reason."""

import ctypes
import dataclasses
import re

import numba
import numpy as np
import pytest
from numba import objmode, prange, types
from problems import quadratic

import asapnb as ab
from asapnb.compiled import kernel, specialise
from asapnb.kernels.choice import by_number


def given(body, **options):
    """A gradient that is 0, and whose loss is what `body` makes of the parameters."""

    names = {"body": body if hasattr(body, "py_func") else numba.njit(body, **options)}
    source = "def found(params, gradient, indices, plan, workspace, inputs, labels):\n    gradient[:] = 0\n"
    exec(source + "    return body(params)", names)
    return numba.njit(names["found"], **options)


def problem(gradient):
    return ab.custom(gradient, np.zeros((2, 1), np.float32), [0, 0], n_params=3)


def in_parallel(params):
    total = 0.0
    for i in prange(params.size):
        total += params[i]
    return total


def in_python(params):
    with objmode(y="float64"):
        y = float(len(str(params)))
    return y


REFUSED = {
    "parallel": (lambda: given(in_parallel, parallel=True), "is compiled with parallel=True"),
    "parallel, without a loop": (lambda: given(lambda params: params[0], parallel=True), "parallel=True"),
    "parallel in what it calls": (lambda: given(numba.njit(parallel=True)(in_parallel)), "parallel=True, or calls"),
    "objmode": (lambda: given(in_python), "calls Python, by objmode"),
    "object mode": (lambda: numba.jit(given(in_parallel).py_func, forceobj=True), "is in object mode"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_gradient_that_threads_cannot_run_is_refused_with_the_reason(make, reason):
    with pytest.raises(ab.UsageError, match=re.escape(reason)):
        problem(make())


def test_so_is_one_that_a_problem_is_made_of_directly():
    with pytest.raises(ab.UsageError, match="parallel=True"):
        dataclasses.replace(quadratic(), gradient=given(in_parallel, parallel=True))
    made = dataclasses.replace(quadratic(), gradient=given(numba.njit(parallel=True)(in_parallel)))
    with pytest.raises(ab.UsageError, match="parallel=True"):
        made.compile()


def test_a_generator_and_what_is_no_function_of_njit_are_refused():
    def pieces(params, gradient, indices, plan, workspace, inputs, labels):
        yield params[0]

    with pytest.raises(ab.UsageError, match="does not compile for the signature"):
        problem(numba.njit(pieces))
    for wrong in (numba.vectorize(lambda x: x), numba.cfunc("float64(float64)")(lambda x: x), pieces):
        with pytest.raises(ab.UsageError, match="decorate a module-level function"):
            problem(wrong)


def allocating(params):
    return np.zeros(3).sum() + np.dot(params, params)


def raising(params):
    if params[0] > 1e30:
        raise ValueError("too far")
    return params[0] / (params[1] + 1)


cosine = ctypes.CDLL(None).cos
cosine.restype, cosine.argtypes = ctypes.c_double, [ctypes.c_double]


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (in_parallel, {}),  # prange is range there
        (allocating, {}),
        (raising, {"boundscheck": True}),
        (lambda params: cosine(params[0]), {}),
    ],
)
def test_what_is_fit_is_taken(body, options):
    run = ab.train(problem(given(body, **options)), workers=3, batch_size=1, updates=20)
    assert run.status == "finished"


def test_loops_and_parts_from_outside_are_checked_too():
    with pytest.raises(ab.UsageError, match=r"the loop .* is compiled with parallel=True"):
        specialise(kernel(parallel=True)(in_parallel), types.Array(types.float64, 1, "C"))
    with pytest.raises(ab.UsageError, match=r"the function .* is compiled with parallel=True"):
        by_number([numba.njit(in_parallel, parallel=True)])
