"""From a jaxpr to the frozen structure: nodes, their names and sources, and what each can compute."""
