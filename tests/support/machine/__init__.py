"""The whole product beside a plain model: a machine of rules that drives real processes, and compares after every step."""
