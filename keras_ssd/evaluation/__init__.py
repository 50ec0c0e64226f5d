"""How good a detector is: measures, error analysis, reports."""
