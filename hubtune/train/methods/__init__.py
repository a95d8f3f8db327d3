"""The training methods: how each makes the base model trainable, and how the trained weights are saved."""
