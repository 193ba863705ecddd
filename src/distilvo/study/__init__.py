"""Methods x seeds x rates: the paper's tables, with intervals."""
