"""Networks that see flow first, in miniature."""

from __future__ import annotations

from dataclasses import replace

import torch

from distilvo.models.flow_network import FlowArchitecture, FlowNetwork

COARSE = FlowArchitecture("tiny", (32, 96), ((4, 3, 1), (6, 3, 2)), (6,), (8, 6), (6,), patch=4, reach=(1, 2))
FINE = replace(COARSE, name="fine", patch=2, fine=1, encoder=((4, 3, 2), (6, 3, 2)), fine_reach=(1, 1))


def make_network(architecture: FlowArchitecture, seed: int = 0, size: float = 0.05) -> FlowNetwork:
    """Weights that see something: the last layers are not as small as in the beginning."""
    torch.manual_seed(seed)
    network = FlowNetwork(architecture)
    for layer in (network.coarse_flow, network.maps):
        torch.nn.init.normal_(layer.weight, std=size)
    return network.eval()
