"""Which configurations to try, when to stop one, and when to stop altogether. Pure: no ray, no mlflow, no torch."""
