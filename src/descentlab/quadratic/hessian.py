"""The Hessian of a spectrum, and the design matrix that stochastic gradients sample.

    H = blockdiag(U_1ᵀ Λ_1 U_1, …)          f(w) = ½ wᵀHw

with independent Haar-random rotations U (the paper's Section 5). The rows x_i of a design
matrix have ``(1/D)·Σ x_i x_iᵀ = H``, so that the mean of ``x_i x_iᵀ w`` over all is the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from descentlab.errors import ConfigError, nearest
from descentlab.quadratic.spectrum import Spectrum
from descentlab.seeding import derived_seed

Root = Literal["eigenvectors", "symmetric"]
"""Which square root of the Hessian the design matrix is."""

TOLERANCE = 1e-9
"""By how much a Hessian may miss symmetry or a non-negative spectrum, relative to its largest."""


def haar_rotation(size: int, seed: int, *names: str | int) -> Tensor:
    """Return a rotation ``[size, size]``, uniform over SO(size), a function of seed and names.

    The orthogonal factor of a Gaussian matrix is Haar once the triangular factor's diagonal is
    positive (Mezzadri 2007); a last sign makes the determinant 1.

    Raises:
        ConfigError: for a size below 1.

    >>> haar_rotation(1, 0)
    tensor([[1.]], dtype=torch.float64)
    """
    if size < 1:
        raise ConfigError(f"size: got {size}; a rotation needs 1 dimension or more")
    stream = np.random.Generator(np.random.PCG64(derived_seed(seed, "rotation", *names)))
    q, r = np.linalg.qr(stream.standard_normal((size, size)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return torch.from_numpy(q)


def hessian(spectrum: Spectrum, seed: int) -> Tensor:
    """Return H ``[D, D]`` in float64, block diagonal, its rotations drawn by the seed.

    Spectra with blocks of the same sizes get the same rotations from the same seed, so that
    they can be compared in pairs.

    >>> hessian(Spectrum(name="round", blocks=((2.0, 2.0), (3.0,))), seed=0).round(decimals=9)
    tensor([[2., 0., 0.],
            [0., 2., 0.],
            [0., 0., 3.]], dtype=torch.float64)
    """
    parts: list[Tensor] = []
    for place, block in enumerate(spectrum.blocks):
        U = haar_rotation(len(block), seed, place)
        part = U.T @ torch.diag(torch.tensor(block, dtype=torch.float64)) @ U
        parts.append((part + part.T) / 2)  # rounding must not make it asymmetric
    return torch.block_diag(*parts)


def hessians(spectrum: Spectrum, seeds: Iterable[int]) -> Tensor:
    """Return H ``[P, D, D]`` for each of P seeds."""
    return torch.stack([hessian(spectrum, seed) for seed in seeds])


def check_hessians(H_GDD: Tensor) -> None:
    """Refuse what is no Hessian of a convex quadratic.

    Raises:
        ConfigError: unless ``[G, D, D]``, finite, symmetric, without negative eigenvalues.
    """
    if H_GDD.dim() != 3 or H_GDD.shape[1] != H_GDD.shape[2] or not H_GDD.numel():
        raise ConfigError(
            f"Hessian: got the shape {list(H_GDD.shape)}; allowed are square matrices [G, D, D]"
        )
    if not bool(H_GDD.isfinite().all()):
        raise ConfigError("Hessian: has entries that are not finite; give finite numbers")
    largest = H_GDD.abs().max()
    if float((H_GDD - H_GDD.mT).abs().max()) > TOLERANCE * largest:
        raise ConfigError("Hessian: not symmetric; give H with H = Hᵀ")
    least = float(torch.linalg.eigvalsh(H_GDD).min())
    if least < -TOLERANCE * largest:
        raise ConfigError(f"Hessian: has the eigenvalue {least:.3g}; allowed are 0 and above")


def design(H_GDD: Tensor, root: Root = "eigenvectors") -> Tensor:
    """Return the design matrices ``[G, D, D]``, whose rows x_i gradients sample.

    Every root of H has the same mean over rows and its own noise: ``"eigenvectors"``, which the
    paper's notebook takes, samples ``x_i = √(D·λ_i)·u_i``, one eigenvector at a time;
    ``"symmetric"`` samples the rows of ``√D·H^½``.

    Raises:
        ConfigError: as ``check_hessians`` does, and for an unknown root.

    >>> H = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]])
    >>> (design(H).mT @ design(H) / 2).round(decimals=5)
    tensor([[[2., 1.],
             [1., 2.]]])
    """
    if root not in get_args(Root):
        raise ConfigError(f"root: got {root!r}; {nearest(str(root), get_args(Root))}")
    check_hessians(H_GDD)
    values_GD, V_GDD = torch.linalg.eigh(H_GDD)
    scales_GD = (values_GD.clamp_min(0) * H_GDD.shape[1]).sqrt()
    rows_GDD = scales_GD.unsqueeze(2) * V_GDD.mT
    return V_GDD @ rows_GDD if root == "symmetric" else rows_GDD
