"""Autoregressive generation that searches can steer: many rows, one model call a step, forkable.

`Transformer` runs the model, `KVCache` holds what rows have heard, a `StepHead` (tokens:
`TokenHead`) turns what the model makes of a step into what it hears next, `Engine` begins a
`RowGeneration`, which advances, forks and drops rows and says what each has said so far.
"""
