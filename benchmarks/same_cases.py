"""What `same_output.py` runs: one row a case, in the words of the new tree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from same_calls import CALLS

RENAMED: Mapping[str, str] = {
    "opponent": "discriminator",
    "opponent.within": "discriminator.mask_loss",
    "health": "monitor",
    "losses.matching_weight": "losses.feature_matching_weight",
    "losses.pool": "losses.image_buffer",
    "losses.excess_weight": "losses.change_penalty_weight",
    "losses.excess_from": "losses.change_penalty_from",
    "data.scaled_share": "data.scaled_fraction",
    "data.test_share": "data.test_fraction",
    "noise.poisson_share": "noise.poisson_fraction",
    "noise.correlated_share": "noise.correlated_fraction",
    "noise.round_share": "noise.round_fraction",
    "noise.jpeg_share": "noise.jpeg_fraction",
    "shrinking": "downscaling",
    "shrinking.real_share": "downscaling.real_fraction",
    "wear": "defects",
    "wear.marks": "defects.count",
    "wear.unworn_share": "defects.clean_fraction",
    "wear.dark_share": "defects.dark_fraction",
    "opponent_unet": "luma_chroma_unet",
    "--share": "--fraction",
}
"""Old spelling -> new spelling of what cases write: dotted keys or groups of them ("opponent": "discriminator"), flags, names of networks.

Cases are written in the new words, and the old tree gets them in the old ones.
"""
EXCEPTIONS: Mapping[str, str] = {
    "denoise --preview: out/sheet.png": "the sheet's captions are reworded",
    "evaluate: standard output": "protocol, intervals and seconds are new",
}
"""Case, or "case: file" -> the reason why it may differ."""
TRAINED = ("run/run.safetensors", "run/checkpoint.pt")


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: unique; what `--only` looks at.
        commands: run one after another in a new folder. `{in}` stands for the folder of inputs, `{here}` for the case's
            own (the processes that decode outlive a case, and its working directory).
        call: a key of `CALLS` instead of commands.
        old: the commands for the old tree, where RENAMED is not enough.
        code: the exit code of the last command; every other one must end with 0.
        compared: patterns of the files that are compared, relative to the case's folder; hidden ones never are.
        files: how many files there must be at least.
        stdout: whether the numbers on standard output are compared too.
        texts: files that are written first, name -> text.
    """

    name: str
    commands: tuple[str, ...] = ()
    call: str = ""
    old: tuple[str, ...] = ()
    code: int = 0
    compared: tuple[str, ...] = ("out/**/*",)
    files: int = 1
    stdout: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *, old: bool) -> list[list[str]]:
        """The commands' words, in the spelling of one of the trees."""
        commands = self.old if old and self.old else tuple(spelled(command, old=old) for command in self.commands)
        return [shlex.split(command) for command in commands]


def spelled(text: str, *, old: bool) -> str:
    """A text of the table as one of the trees spells it."""
    if not old or not RENAMED:
        return text
    back = {new: before for before, new in RENAMED.items()}
    names = "|".join(re.escape(name) for name in sorted(back, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{names})(?![\w-])", lambda found: back[found[0]], text)


def _task(name: str, command: str, files: int = 4, **more: object) -> Case:
    """A command of a task on the CPU, whose results lie in out/."""
    precision = "" if "--precision" in command else " --precision fp32"
    return Case(name, (f"{command} --out {{here}}/out --device cpu{precision} --quiet",), files=files, **more)  # type: ignore[arg-type]


def _train(method: str, name: str, settings: str, *more: str, steps: int = 6) -> Case:
    """A training of a tiny network; `more` are further commands."""
    data = "pairs" if method in ("cyclegan", "pix2pix") else "train"
    words = " ".join(f"--set {setting}" for setting in settings.split())
    command = f"train {method} {{in}}/{data} --out {{here}}/run --steps {steps} --seed 3 --device cpu --precision fp32 --quiet {words}"
    return Case(f"train {name}", (command, *more), compared=TRAINED, files=2)


_CROP = "data.crop=32 loop.batch_size=2 loop.log_every=2"
_NET = f"{_CROP} network.widths=8,12 network.blocks=1,1"
_GAN = "losses.adversarial_weight=0.5 discriminator.width=4 monitor.every=2"
_UP = f"{_CROP} network.width=8 network.blocks=1 scale=2"
_INPAINT = f"{_CROP} network.widths=8,8,12 network.dilations=1,2 losses.perceptual_weight=0"
_PAIRED = "data.crop=32 data.sides=32,40 generator.width=4 discriminator.width=4 loop.log_every=2 monitor.every=2"
_CYCLE = f"{_PAIRED} generator.blocks=1 losses.image_buffer=2 loop.batch_size=1"
_PIX = f"{_PAIRED} generator.levels=3 loop.batch_size=2"

DENOISE = (
    _task("denoise PNG", "denoise {in}/png", 10),
    _task("denoise JPEG", "denoise {in}/jpeg", 5),
    _task("denoise TIFF", "denoise {in}/tiff", 12),
    _task("denoise WebP, BMP, PNM", "denoise {in}/others", 11),
    _task("denoise DICOM", "denoise {in}/dicom --ensemble 1", 17, code=1),
    _task("denoise X-rays", "denoise {in}/xray"),
    _task("denoise X-rays bf16", "denoise {in}/xray --precision bf16"),
    _task("denoise X-rays DICOM", "denoise {in}/xray-dicom --precision bf16", 3),
    _task("denoise bf16", "denoise {in}/few --precision bf16"),
    _task("denoise --strength 0.5", "denoise {in}/few --strength 0.5"),
    _task("denoise --strength 0", "denoise {in}/few --strength 0"),
    _task("denoise --noise-level 25", "denoise {in}/few --noise-level 25"),
    _task("denoise --noise-level 3 --ensemble 8", "denoise {in}/few --noise-level 3 --ensemble 8"),
    _task("denoise --tile 64", "denoise {in}/few --tile 64 --batch-size 3 --ensemble 1"),
    _task("denoise --tile 0 --ensemble 4", "denoise {in}/few --tile 0 --ensemble 4"),
    _task("denoise denoise-color", "denoise {in}/few --weights denoise-color"),
    _task("denoise denoise-gray", "denoise {in}/few --weights denoise-gray"),
    _task("denoise denoise-xray", "denoise {in}/few --weights denoise-xray --strength 0.8"),
    _task("denoise --format png", "denoise {in}/tiff {in}/jpeg --format png --ensemble 1", 15, code=1),
    _task("denoise --format jpeg", "denoise {in}/png {in}/few --format jpeg --ensemble 1", 6, code=1),
    _task("denoise --format tiff", "denoise {in}/others {in}/png --format tiff --ensemble 1", 20),
    _task("denoise --format webp", "denoise {in}/png --format webp --ensemble 1", 3, code=1),
    _task("denoise --format bmp", "denoise {in}/png --format bmp --ensemble 1", 5, code=1),
    _task("denoise --format pgm", "denoise {in}/png --format pgm --ensemble 1", 5, code=1),
    _task("denoise --format png DICOM", "denoise {in}/dicom --format png --ensemble 1", 5, code=1),
    _task("denoise --salvage", "denoise {in}/broken --salvage", 2),
    _task("denoise --preview", "denoise {in}/few --preview {here}/out/sheet.png", 5),
    Case(
        "denoise twice",
        ("denoise {in}/few/gray.png --out {here}/out --device cpu -q", "denoise {in}/few --out {here}/out --device cpu -q"),
        files=4,
    ),
)  # fmt: skip
UPSCALE = (
    _task("upscale", "upscale {in}/few"),
    _task("upscale PNG", "upscale {in}/png --scale 2", 10),
    _task("upscale TIFF", "upscale {in}/tiff --scale 2", 12),
    _task("upscale photo", "upscale {in}/few --weights photo"),
    _task("upscale upscale-x2", "upscale {in}/few --weights upscale-x2"),
    _task("upscale --scale 1.5", "upscale {in}/few --scale 1.5"),
    _task("upscale --scale 3 --tile 64", "upscale {in}/few --scale 3 --tile 64"),
    _task("upscale --strength 0.5 bf16", "upscale {in}/few --strength 0.5 --precision bf16"),
    _task("upscale DICOM", "upscale {in}/dicom/CT_small.dcm {in}/dicom/SC_rgb_rle.dcm --scale 2", 2),
    _task("upscale --format", "upscale {in}/jpeg --scale 2 --format png", 5),
)  # fmt: skip
INPAINT = (
    _task("inpaint --masks DIR", "inpaint {in}/holes --masks {in}/masks", 5),
    _task("inpaint --masks FILE bf16", "inpaint {in}/holes --masks {in}/mask.png --precision bf16", 5),
    _task("inpaint --invert-masks", "inpaint {in}/holes --masks {in}/mask-inverted.png --invert-masks --grow 2 --feather 3", 5),
    _task("inpaint --mask-color", "inpaint {in}/holes/colour.png {in}/holes/colour.jpg --mask-color #ff00ff --mask-tolerance 30", 2),
    _task("inpaint --alpha", "inpaint {in}/holes/clear.png --alpha", 1),
    _task("inpaint --scratches", "inpaint {in}/scratched --scratches --save-masks {here}/out/masks", 4),
    _task("inpaint --sensitivity", "inpaint {in}/scratched --scratches --sensitivity 0.6 --grow 3 --save-masks {here}/out/masks", 4),
    _task("inpaint --method telea", "inpaint {in}/holes --masks {in}/mask.png --method telea", 5),
    _task("inpaint --method navier-stokes", "inpaint {in}/holes --masks {in}/mask.png --method navier-stokes", 5),
    _task("inpaint --no-texture --tile 64", "inpaint {in}/holes --masks {in}/mask.png --no-texture --tile 64", 5),
    _task("inpaint DICOM", "inpaint {in}/dicom/CT_small.dcm --masks {in}/mask-ct.png", 1),
    _task("inpaint --format", "inpaint {in}/holes --masks {in}/mask.png --format tiff", 4),
)  # fmt: skip
TRANSLATE = (
    _task("translate photo2paint", "translate {in}/photos {in}/few --weights photo2paint", 6),
    _task("translate --reverse", "translate {in}/photos --weights photo2paint --reverse", 2),
    _task("translate --strength bf16", "translate {in}/photos --weights photo2paint --strength 0.6 --precision bf16", 2),
    _task("translate --tile", "translate {in}/photos --weights photo2paint --tile 64", 2),
    _task("translate facades", "translate {in}/photos {in}/png --weights facades", 8),
    _task("translate facades --tile", "translate {in}/photos --weights facades --tile 96 --format tiff", 2),
)  # fmt: skip
REST = (
    Case(
        "weights blend, then used",
        (
            "weights blend upscale-x4 upscale-x4-photo --fraction 0.3 --as between",
            "upscale {in}/few --weights between --out {here}/out --device cpu -q",
        ),
        compared=("own/*.safetensors", "out/**/*"), files=5,
    ),
    Case("weights verify", ("weights verify",), files=0),
    Case("evaluate", ("evaluate {in}/few {in}/few --json", "evaluate {in}/train/0.png {in}/train/1.png --json"), files=0, stdout=True),
)  # fmt: skip
_PLAYED = "discriminator.label_noise=0.2 discriminator.label_smoothing=0.1 discriminator.r1=0.01"
_WASSERSTEIN = (
    "discriminator.objective=wasserstein discriminator.gradient_penalty=10 discriminator.steps=2 discriminator.augment=0.5 "
    "losses.feature_matching_weight=1"
)
_FILE = """
seed = 5
network.widths = [8, 12]
network.blocks = [1, 1]
data.gain = [0.7, 1.2]
data.crop = 32
loop.batch_size = 2
noise.correlated_fraction = 0.5
optimizer.learning_rate = 0.01
"""
TRAIN = (
    _train("denoise", "denoise", f"{_NET} noise.poisson_fraction=0.5 noise.round_fraction=0.5"),
    _train(
        "denoise", "denoise in colour, adversarial",
        f"{_NET} {_GAN} data.channels=3 network.name=luma_chroma_unet network.chroma_widths=8,12",
    ),
    _train(
        "denoise", "denoise with Adam, accumulated",
        f"{_NET} optimizer.name=adam loop.accumulate=2 data.scales=0.6,1 losses.pixel=charbonnier",
    ),
    _train("denoise", "denoise, resumed", _NET, "train denoise {in}/train --out {here}/run --resume --steps 10 --quiet"),
    _train("denoise", "denoise from weights", "loop.batch_size=1 data.crop=32 start_from=denoise-gray", steps=2),
    Case(
        "train denoise by a file",
        ("train denoise {in}/train --out {here}/run --config run.toml --steps 4 --device cpu -q",),
        compared=TRAINED, files=2, texts={"run.toml": _FILE},
    ),
    _train("upscale", "upscale", _UP),
    _train("upscale", "upscale, worn", f"{_UP} {_GAN} downscaling.kind=real discriminator.network=unet"),
    _train("inpaint", "inpaint", f"{_INPAINT} losses.adversarial_weight=0"),
    _train("inpaint", "inpaint, adversarial", f"{_INPAINT} discriminator.network=patchgan discriminator.width=4 discriminator.r1=0.01"),
    _train("scratches", "scratches", f"{_CROP} network.width=4 network.levels=3"),
    _train("cyclegan", "cyclegan", f"{_CYCLE} losses.identity_weight=0.5"),
    _train("cyclegan", "cyclegan, penalised", f"{_CYCLE} losses.change_penalty_weight=1 {_PLAYED}"),
    _train("pix2pix", "pix2pix", f"{_PIX} generator.norm=batch"),
    _train("pix2pix", "pix2pix, wasserstein", f"{_PIX} {_WASSERSTEIN}"),
)  # fmt: skip
API = tuple(Case(f"Python: {name}", call=name, compared=("arrays/*.npy", "out/**/*", *TRAINED)) for name in CALLS)
CASES: tuple[Case, ...] = (*DENOISE, *UPSCALE, *INPAINT, *TRANSLATE, *REST, *TRAIN, *API)
