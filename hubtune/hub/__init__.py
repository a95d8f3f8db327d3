"""The only importer of `huggingface_hub`; all that asks the Hub, the libraries too, does so by the client set here."""

from hubtune.hub import client

client.use()
