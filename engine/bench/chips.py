"""Accelerators by name: published peaks and bandwidths, each with its source.

Peaks are of dense products: data sheets of NVIDIA print figures "with sparsity", which are twice as large. No
device reaches them; a good product reaches 75 to 85%. Where nothing is published, the note says what stands
in.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One accelerator.

    Attributes:
      label: full name.
      product: FLOP/s of products of 16-bit numbers that are added in float32.
      vector: FLOP/s of float32 arithmetic beside products, a multiplication with an addition counting as two;
        None if unpublished.
      bandwidth: bytes/s of its memory.
      memory: bytes.
      link: bytes/s from the host to the chip, one direction.
      source: publication of these figures.
      note: what stands in for an unpublished figure.
      parts: 16-bit factors that make a float16 number. TPUs know bfloat16 alone and take two, so that an
        exact product is four, see `kernels.operands`.
      offered: share of its memory that JAX takes unless told otherwise.
    """

    label: str
    product: float
    vector: float | None
    bandwidth: float
    memory: float
    link: float
    source: str
    note: str = ""
    parts: int = 1
    offered: float = 1.0


_OF_GPU = 0.75  # of the memory, what JAX takes; of a TPU it takes all
_PCIE_5 = "PCIe 5 x16: 128 GB/s is the sum of both directions, half of it counts."

CHIPS = {
    "h100": Chip(
        label="NVIDIA H100 SXM",
        product=989.4e12,
        vector=66.9e12,
        bandwidth=3.35e12,
        memory=80e9,
        link=64e9,
        source="NVIDIA H100 Tensor Core GPU data sheet (1,979 TFLOP/s of BF16 with sparsity), as tabulated "
        "by glennklockwood.com/garden/processors/h100 and "
        "archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html",
        note=_PCIE_5,
        offered=_OF_GPU,
    ),
    "h200": Chip(
        label="NVIDIA H200 SXM",
        product=989.4e12,
        vector=66.9e12,
        bandwidth=4.8e12,
        memory=141e9,
        link=64e9,
        source="NVIDIA H200 Tensor Core GPU data sheet: the processor of the H100 with other memory, as "
        "tabulated by itkb.uw.cz/2026/06/nvidia-h200-vs-b300-precisions-cores.html and hmc-tech.com/gpu",
        note=_PCIE_5,
        offered=_OF_GPU,
    ),
    "a100": Chip(
        label="NVIDIA A100 SXM 80 GB",
        product=312e12,
        vector=19.5e12,
        bandwidth=2.039e12,
        memory=80e9,
        link=32e9,
        source="NVIDIA A100 data sheet (nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf), as tabulated by "
        "glennklockwood.com/garden/processors/A100",
        note="PCIe 4 x16, 32 GB/s in each direction.",
        offered=_OF_GPU,
    ),
    "tpu-v5e": Chip(
        label="Google TPU v5e",
        product=197e12,
        vector=None,
        bandwidth=819e9,
        memory=16e9,
        link=16e9,
        source="docs.cloud.google.com/tpu/docs/v5e",
        note="No figure is published for its vector unit, which is left out, nor for its link to the host: "
        "that of PCIe 3 x16 stands in. Four products of bfloat16 make an exact one of float16.",
        parts=2,
    ),
    "tpu-v6e": Chip(
        label="Google TPU v6e",
        product=918e12,
        vector=None,
        bandwidth=1638e9,
        memory=32e9,
        link=64e9,
        source="docs.cloud.google.com/tpu/docs/v6e",
        note="No figure is published for its vector unit, which is left out. PCIe 5, lanes not stated: x16. "
        "Four products of bfloat16 make an exact one of float16.",
        parts=2,
    ),
}
"""By the name that --device takes."""
