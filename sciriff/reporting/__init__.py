"""The results as static HTML pages: ``results/report/index.html`` and a page a task beside it.

:mod:`sciriff.reporting.publish` tells the story: what the index knows becomes plain values (``content``), these become
pages by the templates in ``templates/report/`` (``page``), and the pages go into the store.
"""
