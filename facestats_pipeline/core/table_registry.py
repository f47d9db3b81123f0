"""Every table of the pipeline. A new one is found by the name of its module, so that it is declared in one place alone.

The modules are `core/<stage>/<something>_table.py`. Each lists in `TABLES` what it specifies: a `Table`, or a function that gives one for a
catalogue of attributes. They are imported to learn a path or a column, so they load nothing heavier than polars.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from facestats_pipeline.core.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.tables import Table

SUFFIX = "_table"


@cache
def tables_of(catalogue: Catalogue = BUILT_IN) -> Mapping[str, Table]:
    """Asset → its table, in an order in which each comes after those that its columns are made from.

    Raises ValueError for two tables of one name or path, or a column whose source does not exist.
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
    depth: dict[str, int] = {}

    def rank(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((rank(source) for source in found[name].reads), default=0)
        return depth[name]

    return MappingProxyType({name: found[name] for name in sorted(found, key=lambda name: (rank(name), name))})


def fixed_columns() -> frozenset[str]:
    """Every column that a table has whatever the attributes are: an attribute may not be called so."""
    return frozenset(name for table in tables_of(Catalogue(())).values() for name in table.schema)


def _specified(catalogue: Catalogue) -> Iterator[Table]:
    here = Path(__file__).parent
    for path in sorted(here.glob(f"*/*{SUFFIX}.py")):
        module = import_module(f"{__package__}.{path.parent.name}.{path.stem}")
        for one in getattr(module, "TABLES", ()):  # a sharded asset without a table is an error of the definitions
            yield one if isinstance(one, Table) else one(catalogue)
