"""Networks: one family a file, all with `embed` and `forward`; `Point`, a place in weight space.

Imported by file (`from condensery.networks.convnet import ConvNet`): `Net`, which only describes one, needs no torch.
"""
