"""Who may connect, and what each user may do: TLS, authentication by SASL, users and their rights."""
