"""hubtune turns a config file into a trustworthy release on the Hugging Face Hub."""

__version__ = "0.1.0"
