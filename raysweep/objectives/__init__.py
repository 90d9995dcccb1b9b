"""What a configuration is scored by.

Each score is a number with a 95 % interval from resampling its N examples (paired: all trials share the resamples), the
real data's side being held fixed: `frechet`, `response`, `kid` are distances to real data, lower is better;
`recognition` asks a judge. `ranking` compares trials. Pure NumPy in float64; who computes the responses and features
that go in is the engine's business.
"""
