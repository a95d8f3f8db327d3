"""How the base model is made trainable, one way each, and how what was trained is saved."""
