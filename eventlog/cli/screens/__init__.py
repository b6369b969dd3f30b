"""What `top`, `ui` and `web` show of a store: one plain model, a program for terminals, and a page for browsers."""
