"""The four stages of a pipeline on tables, each a workload of its own: clean, preprocess, search, evaluate."""
