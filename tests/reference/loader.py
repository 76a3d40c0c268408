"""Every vector and every other file of a reference folder, whatever stands in it.

A vector file is JSON: an object with a list `vectors`, or a list, of objects that have an `id`. A vector's *kind* is
said by its content, not by where it stands, so that other files of the same form find the same runner: the document's
`system` (or the file's name where it says none), and the vector's own `kind`, `function` or `system`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "../shared/reference"
VARIABLE = "CROSSMARGIN_REFERENCE_DIR"


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One vector: inputs and what is expected of them.

    `document` is what the file says beside its vectors: tolerance, conventions, parameter sets.
    """

    id: str
    kind: str
    path: Path
    folder: Path
    body: dict[str, Any] = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    def companion(self, name: str) -> Path:
        """The file that the vector names: beside the vector, then in the default folder.

        Raises
        ------
        FileNotFoundError
            If neither has it, or the default folder has several of that name.
        """
        beside = self.path.parent / name
        if beside.is_file():
            return beside
        below = DEFAULT / self.path.parent.relative_to(self.folder) / name
        if below.is_file():
            return below
        found = sorted(DEFAULT.rglob(Path(name).name)) if DEFAULT.is_dir() else []
        if len(found) != 1:
            raise FileNotFoundError(
                f"vector '{self.id}' names '{name}': not beside {self.path.name}, and {len(found)} in {DEFAULT}"
            )
        return found[0]


@dataclass(frozen=True, kw_only=True)
class OtherFile:
    """A file that holds no vectors: tables, parameters, texts; `problem` where it is broken."""

    id: str
    path: Path
    problem: str = ""


def reference_folder() -> Path:
    """The folder that the environment names, or the default."""
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def is_default(folder: Path) -> bool:
    """Whether `folder` is the one that the table of `vector_table` must know in full."""
    return folder.resolve() == DEFAULT.resolve()


def find(folder: Path) -> tuple[list[Vector], list[OtherFile]]:
    """All vectors and all other files below `folder`, by path; ids of vectors are unique."""
    vectors: list[Vector] = []
    others: list[OtherFile] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix != ".json":
            others.append(OtherFile(id=name, path=path))
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            others.append(OtherFile(id=name, path=path, problem=f"is no JSON: {error}"))
            continue
        bodies = content.get("vectors") if isinstance(content, dict) else content
        if not isinstance(bodies, list):
            others.append(OtherFile(id=name, path=path))
            continue
        document = {k: v for k, v in content.items() if k != "vectors"} if isinstance(content, dict) else {}
        broken = [k for k, body in enumerate(bodies) if not isinstance(body, dict) or not body.get("id")]
        stated = document.get("n_vectors", len(bodies))
        if broken or stated != len(bodies):
            problem = f"entries {broken} have no id" if broken else f"says {stated} vectors and has {len(bodies)}"
            others.append(OtherFile(id=name, path=path, problem=problem))
        vectors += [
            Vector(
                id=str(body["id"]),
                kind=kind_of(document, body, path),
                path=path,
                folder=folder,
                body=body,
                document=document,
            )
            for k, body in enumerate(bodies)
            if k not in broken
        ]
    return _unique(vectors), others


def kind_of(document: dict[str, Any], body: dict[str, Any], path: Path) -> str:
    """`document / vector`, by content."""
    outer = str(document.get("system") or path.name.removesuffix(".json"))
    inner = next((str(body[key]) for key in ("kind", "function", "system") if body.get(key)), "")
    return f"{outer} / {inner}" if inner else outer


def _unique(vectors: list[Vector]) -> list[Vector]:
    """The same id in two files is told apart by the file."""
    seen: dict[str, int] = {}
    for vector in vectors:
        seen[vector.id] = seen.get(vector.id, 0) + 1
    return [
        vector
        if seen[vector.id] == 1
        else Vector(
            id=f"{vector.path.relative_to(vector.folder).as_posix()}::{vector.id}",
            kind=vector.kind,
            path=vector.path,
            folder=vector.folder,
            body=vector.body,
            document=vector.document,
        )
        for vector in vectors
    ]
