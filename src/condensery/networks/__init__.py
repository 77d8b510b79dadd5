"""Networks, one family per file, and `Point`, a network with given weights. All networks have `embed` and `forward`.

Import from the files (`from condensery.networks.convnet import ConvNet`). `Net` only describes a network, so importing
it does not import torch.
"""
