"""One module per use case: load, decide, store. Nothing commits but the sweeps, which begin their own transactions."""
