"""No module of `restore` or `cli` imports itself by way of others, imports inside functions included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Graph = dict[str, set[str]]


def _modules(root: Path, packages: tuple[str, ...]) -> dict[str, Path]:
    """Every module's file by its dotted name; a package is its `__init__`."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def _imported(tree: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """(module, name taken from it or None) of every import statement at run time, wherever it stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                yield from _imported(branch, package)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)
        else:
            yield from _imported(node, package)


def _graph(root: Path, packages: tuple[str, ...]) -> Graph:
    """Which modules each module imports. `from package import name` is an import of the module `package.name` where there is one."""
    modules = _modules(root, packages)
    graph: Graph = {}
    for name, path in modules.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        found = set()
        for source, taken in _imported(ast.parse(path.read_text(encoding="utf-8")), package):
            inner = f"{source}.{taken}"
            found.add(inner if taken is not None and inner in modules else source)
        graph[name] = (found & modules.keys()) - {name}
    return graph


def _circle(graph: Graph) -> list[str]:
    """The modules of one circle, in order; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circles() -> None:
    assert not _circle(_graph(ROOT, ("restore", "cli")))


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ("from house import b", "", False),
        ("from house import b", "def late():\n    from house.a import thing", True),
        ("from . import b", "class Lazy:\n    def late(self):\n        import house.a", True),
        ("from .b import other", "if True:\n    from house import a", True),
        ("from house import b", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house import a", False),
    ],
)
def test_circles_are_found_in_functions(a: str, b: str, found: bool, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    for name, text in (("__init__", ""), ("a", a), ("b", b)):
        (house / f"{name}.py").write_text(text)
    circle = _circle(_graph(tmp_path, ("house",)))
    assert set(circle) == ({"house.a", "house.b"} if found else set())


def test_a_run_does_not_wait_for_libraries_of_statistics() -> None:
    """They take half a second together, and only `evaluate` needs them."""
    rooms = ("scipy.stats", "scipy.cluster", "matplotlib")
    code = f"import restore.api, sys; print([name for name in {rooms} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
