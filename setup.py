"""Packages found by themselves: `isogloss` is a namespace (PEP 420) whose folders stay at the top."""

from setuptools import find_packages, setup

ROOTS = ("engine", "jobs", "kernels")
setup(
    packages=[f"isogloss.{name}" for name in find_packages(include=[f"{root}*" for root in ROOTS])],
    package_dir={f"isogloss.{root}": root for root in ROOTS},
    package_data={"": ["*.html", "*.css", "*.js", "*.tsv", "*.txt", "py.typed"]},
)
