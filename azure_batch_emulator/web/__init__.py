"""The HTTP rim: routing, headers, conditions, bodies; what each operation does with the engine."""
