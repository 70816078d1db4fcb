"""From predictions to numbers one can ask questions of.

predictions -> per-sample scores -> facts (Parquet) -> index (DuckDB) -> metric files, tables, SQL.

- :mod:`sciriff.results.evaluate`: the pipeline. Start here.
- :mod:`sciriff.results.schema`: the columns of facts and index.
- :mod:`sciriff.results.facts`: scores as immutable Parquet files.
- :mod:`sciriff.results.judging`: having replies rated by a judge; its judgements are facts too.
- :mod:`sciriff.results.index`: the DuckDB index, rebuilt from the facts.
- :mod:`sciriff.results.sums`: totals of a run, summed up in the index.
- :mod:`sciriff.results.tables`: metric files and tables.
- :mod:`sciriff.results.query`: read-only SQL.
"""
