"""hubtune turns a config file into a trustworthy release on the Hugging Face Hub."""

__version__ = "0.2.0.dev0"
