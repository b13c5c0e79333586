"""Networks as machine code: planning, building, running, saving."""
