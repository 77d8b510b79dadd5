"""IDC, tables 1 to 4: CIFAR-10, ImageNet and speech, condensed in one network and measured in several.

    python experiments/idc_tables1to4.py --data-dir DIR [--data FashionMNIST] [--scale gpu]

Table 1 measures CIFAR-10 in three networks, table 2 at equal training steps, table 3 subsets of ImageNet under
`imagenet2022`, and table 4 spectrograms. These data are absent here. FashionMNIST at 1 image per class is added to
tables 1 and 2, and `speech-commands-8-subset` (110 clips a word) to table 4, under `fixed-steps`, which like the
paper's evaluation of spectrograms has no augmentation; imagenette.py takes the place of table 3. The paper measures
every method with and without CutMix and reports the better one; that is `dsa2021` for DSA, and `idc2022` for the
others.

Cost at `cpu` scale on 2 cores: 10 minutes to condense a set, 5 to measure 3 ConvNets, 40 for 3 ResNet-10, an hour
for a DenseNet-121 (one only); two hours for the spectrograms, with 5 networks: 10 hours in all. The paper: 3 networks.
Cells that are in the results file are skipped.
"""

from grid import Cell, fill, having, idc_net
from record import at_gpu, program

from condensery import IDC, Recipe

CIFAR = ("random", "herding", "dsa", "dm", "idc-i", "idc")
TABLE1 = {
    (10, "convnet"): ("37.2", "41.7", "52.1", "53.8", "58.3 ± 0.3", "67.5 ± 0.5", "88.1"),
    (10, "resnet10"): ("34.1", "35.9", "32.9", "42.3", "50.2 ± 0.4", "63.5 ± 0.1", "92.7"),
    (10, "densenet121"): ("36.5", "36.7", "34.5", "39.0", "49.5 ± 0.6", "61.6 ± 0.6", "94.2"),
    (50, "convnet"): ("56.5", "59.8", "60.6", "65.6", "69.5 ± 0.3", "74.5 ± 0.1", "88.1"),
    (50, "resnet10"): ("51.2", "56.5", "49.7", "58.6", "65.7 ± 0.7", "72.4 ± 0.5", "92.7"),
    (50, "densenet121"): ("55.8", "59.0", "49.1", "57.4", "63.1 ± 0.2", "71.8 ± 0.6", "94.2"),
}
TABLE2 = {  # idc; the other methods have as many rows as stored images, so their figures are those of table 1
    (10, "convnet"): "65.3", (10, "resnet10"): "57.7", (10, "densenet121"): "60.6",
    (50, "convnet"): "73.6", (50, "resnet10"): "72.3", (50, "densenet121"): "71.6",
}  # fmt: skip
TABLE3 = {
    ("ImageNet10", 10, "resnetap10"): ("46.9", "50.4", "52.7", "52.3", "61.4 ± 0.8", "72.8 ± 0.6", "90.8"),
    ("ImageNet10", 10, "resnet18"): ("43.3", "47.0", "44.1", "41.7", "56.2 ± 1.2", "73.6 ± 0.4", "93.6"),
    ("ImageNet10", 10, "efficientnet-b0"): ("46.3", "50.2", "48.3", "45.0", "58.7 ± 1.4", "74.7 ± 0.5", "95.9"),
    ("ImageNet10", 20, "resnetap10"): ("51.8", "57.5", "57.4", "59.3", "65.5 ± 1.0", "76.6 ± 0.4", "90.8"),
    ("ImageNet10", 20, "resnet18"): ("54.3", "57.9", "56.9", "53.7", "66.0 ± 0.7", "75.7 ± 1.0", "93.6"),
    ("ImageNet10", 20, "efficientnet-b0"): ("60.3", "59.0", "62.5", "57.7", "66.3 ± 0.5", "78.1 ± 1.0", "95.9"),
    ("ImageNet100", 10, "resnetap10"): ("20.7", "22.6", "21.8", "22.3", "29.2 ± 0.4", "46.7 ± 0.2", "82.0"),
    ("ImageNet100", 10, "resnet18"): ("15.7", "15.9", "13.5", "15.8", "23.3 ± 0.3", "40.1 ± 0.5", "84.6"),
    ("ImageNet100", 10, "efficientnet-b0"): ("22.4", "24.5", "19.9", "20.7", "27.7 ± 0.6", "36.3 ± 0.6", "85.6"),
    ("ImageNet100", 20, "resnetap10"): ("29.7", "31.1", "30.7", "30.4", "34.5 ± 0.1", "53.7 ± 0.9", "82.0"),
    ("ImageNet100", 20, "resnet18"): ("24.3", "23.4", "20.0", "23.4", "29.8 ± 0.2", "46.4 ± 1.6", "84.6"),
    ("ImageNet100", 20, "efficientnet-b0"): ("33.2", "35.6", "30.6", "31.0", "33.2 ± 0.5", "49.6 ± 1.2", "85.6"),
}
TABLE4 = {
    10: ("42.6", "56.2", "65.0", "69.1", "73.3", "82.9"),
    20: ("57.0", "72.9", "74.0", "77.2", "83.0", "86.6"),
}
WHOLE_SPEECH = "93.4"
SPEECH = {"random": False, "herding": False, "idc-i": True, "idc": True}  # whether it is learned
NETS, IMAGENET = ("convnet", "resnet10", "densenet121"), "resnetap10"
ABOUT = "IDC, tables 1 to 4: condensed in one network and measured in several; test accuracy"


def protocol(method: str) -> str:
    return "dsa2021" if method == "dsa" else "idc2022"


def likewise(protocols: dict[str, str]) -> list[Cell]:
    """Methods on FashionMNIST, in the three networks of tables 1 and 2, each under its protocol."""
    return [
        Cell("FashionMNIST", 1, method, under, net=idc_net(net), sets=3 if method == "random" else 1,
             repeats=1 if method == "random" or net == "densenet121" else 3,
             gpu=net == "densenet121" and method not in ("random", "idc"))
        for net in NETS for method, under in protocols.items()
    ]  # fmt: skip


def for_spectrograms(usual: Recipe) -> Recipe:
    """IDC with the settings for speech; on a CPU, the quick preset with its distance, network and formation in time."""
    if at_gpu():
        return usual
    speech = IDC.published("speech")
    return usual.having(formation="along-width", distance=speech.distance, net=speech.net, outer_steps=6,
                        inner_steps=25, lr=0.05)  # fmt: skip


TABLES = {
    "1": [
        Cell("CIFAR10", ipc, method, protocol(method), net=idc_net(net), paper=figure, repeats=3)
        for (ipc, net), figures in TABLE1.items() for method, figure in zip(CIFAR, figures[:-1], strict=True)
    ] + [
        Cell("CIFAR10", None, "whole", "whole", net=idc_net(net), paper=TABLE1[10, net][-1], repeats=3)
        for net in NETS
    ] + likewise({method: protocol(method) for method in CIFAR}),
    "2": [
        Cell("CIFAR10", ipc, "idc", "idc2022-equal-steps", net=idc_net(net), paper=figure, repeats=3)
        for (ipc, net), figure in TABLE2.items()
    ] + likewise({"idc-i": "idc2022", "idc": "idc2022-equal-steps"}),
    "3": [
        Cell(dataset, ipc, method, "imagenet2022", net=idc_net(net), paper=figure, repeats=3, gpu=True,
             recipe=None if method == "idc" else having(net=IMAGENET), variant="" if method == "idc" else IMAGENET)
        for (dataset, ipc, net), figures in TABLE3.items() for method, figure in zip(CIFAR, figures[:-1], strict=True)
    ] + [
        Cell(dataset, None, "whole", "whole", net=idc_net(net), paper=TABLE3[dataset, 10, net][-1], repeats=3, gpu=True)
        for dataset, ipc, net in TABLE3 if ipc == 10
    ],
    "4": [
        Cell("MiniSpeechCommands", ipc, method, "fixed-steps", net="convnet4", paper=figure)
        for ipc, figures in TABLE4.items() for method, figure in zip(CIFAR, figures, strict=True)
    ] + [
        Cell("MiniSpeechCommands", None, "whole", "whole", net="convnet4", paper=WHOLE_SPEECH)
    ] + [
        Cell("speech-commands-8-subset", 10, method, "fixed-steps", net="convnet4", repeats=5,
             recipe=for_spectrograms if learned else None, variant="spectrograms" if learned else "")
        for method, learned in SPEECH.items()
    ],
}  # fmt: skip
CELLS = [cell for cells in TABLES.values() for cell in cells]

if __name__ == "__main__":
    program(lambda: fill("idc_tables1to4", ABOUT, CELLS, __doc__, data=["FashionMNIST", "speech-commands-8-subset"]))
