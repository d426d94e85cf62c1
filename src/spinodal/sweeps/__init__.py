"""Walks in beta: steps, brackets, criteria, orders and what certifies that nothing was passed over."""
