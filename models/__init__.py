"""Small trained models: how they are made, and what was made."""
