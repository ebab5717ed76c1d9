"""What spends the budget: strategies that choose among candidates."""
