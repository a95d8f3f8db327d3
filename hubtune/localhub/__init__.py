"""The embedded Hub: git repositories and large files on one machine, behind the Hub's own HTTP API.

Nothing here imports the Hub's client: a process starts the server first, points `HF_ENDPOINT` at it, and only then
loads the client, which reads that variable once.
"""

from hubtune.localhub.fault_injection import FaultPlan, FaultRule, Faults, InjectedFault
from hubtune.localhub.server import EmbeddedHub, HubOptions, serve

__all__ = ["EmbeddedHub", "FaultPlan", "FaultRule", "Faults", "HubOptions", "InjectedFault", "serve"]
