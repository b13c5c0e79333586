"""What each layer of a network would cost at other bit widths: the table that a search for bit widths asks for."""

from mmasched.costs.table import CostTable, Entry, LayerCosts, costs

__all__ = ["CostTable", "Entry", "LayerCosts", "costs"]
