"""The registry of all tables. It finds table modules by name, so a new table is declared in its own module only.

The modules are `core/<stage>/<something>_table.py`. Each lists its specifications in `TABLES`: a `Table`, or a function that returns one
for a catalogue of attributes. Definitions and `--help` import them, so they load nothing heavier than polars.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.tables import Table

SUFFIX = "_table"


@cache
def tables_of(catalogue: Catalogue = BUILT_IN) -> Mapping[str, Table]:
    """Asset → its table, in topological order: a table comes after the tables that its columns are made from.

    Raises ValueError when two tables share a name or a path, or when a column names a source that does not exist.
    """
    found: dict[str, Table] = {}
    for table in _specified(catalogue):
        if clash := [one for one in found.values() if one.name == table.name or one.path == table.path]:
            raise ValueError(f"the tables {clash[0].name} and {table.name} share a name or the path {table.path}")
        found[table.name] = table
    for table in found.values():
        for source, name in (*table.rows_by, *(each for column in table.columns for each in column.sources)):
            if source not in found or name not in found[source].schema:
                raise ValueError(f"the table {table.name} names {source}.{name} as a source, which does not exist")
    # The length of the longest chain of sources: sorting by it, then by name, gives a stable topological order.
    depth: dict[str, int] = {}

    def rank(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((rank(source) for source in found[name].reads), default=0)
        return depth[name]

    return MappingProxyType({name: found[name] for name in sorted(found, key=lambda name: (rank(name), name))})


def fixed_columns() -> frozenset[str]:
    """The columns that exist whatever the catalogue holds. An attribute must not have one of these names."""
    return frozenset(name for table in tables_of(Catalogue(())).values() for name in table.schema)


def _specified(catalogue: Catalogue) -> Iterator[Table]:
    here = Path(__file__).parent
    for path in sorted(here.glob(f"*/*{SUFFIX}.py")):
        module = import_module(f"{__package__}.{path.parent.name}.{path.stem}")
        # A module without TABLES is not an error here: the definitions refuse a sharded asset that has no table.
        for one in getattr(module, "TABLES", ()):
            yield one if isinstance(one, Table) else one(catalogue)
