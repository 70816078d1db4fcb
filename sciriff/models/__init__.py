"""Models: which there are, what exactly they are asked, who answers, and what they said.

- :mod:`sciriff.models.registry`, :mod:`sciriff.models.prompts`: from a name and instances to requests.
- :mod:`sciriff.models.requests`: the values that all of this exchanges.
- :mod:`sciriff.models.plan`, :mod:`sciriff.models.quote`, :mod:`sciriff.models.ask_model`: one model's evaluation.
- :mod:`sciriff.models.asking`, :mod:`sciriff.models.ledger`: nothing is asked twice.
- :mod:`sciriff.models.openai_live`, :mod:`sciriff.models.openai_batch`, :mod:`sciriff.models.vllm_backend`,
  :mod:`sciriff.models.baselines`: who answers.
- :mod:`sciriff.models.predict`, :mod:`sciriff.models.predictions`: what was said, filed by task.
"""
