"""The methods as a sweep file names them: each with its named variants; hyper-parameters are the space's."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from raysweep.keys import Keys, short


class OfMethod(Keys):
    """What the keys of all methods have in common."""

    named: ClassVar[dict[str, str]] = {}
    """Hyper-parameters that are chosen by name, each with the sweep file's key that lists the names."""


class AmKeys(OfMethod):
    """Activation maximisation and its named variants."""

    name: Literal["am"]
    prior: Literal["log_density", "squared_norm"] = "log_density"
    record: Literal["best", "last"] = "best"
    min_improvement: float = Field(0.0, ge=0)


class AmInputKeys(OfMethod):
    """Activation maximisation in input space, alone and with an expert, and the named variants of both."""

    name: Literal["am_input", "am_expert"]
    quantity: Literal["log_probability", "response"] = "log_probability"
    start: Literal["noise", "mean", "sample"] = "noise"
    bounds: Literal["data", "none"] = "data"


class ComponentKeys(OfMethod):
    """What methods that explain samples share: what may be removed of them as a whole, and what comes in its place.

    `components` are pixels, patches (of `patch` × `patch`), elements or channels; of radio maps buildings, measurements
    or buildings+measurements; a .npy file or `module:callable`.
    """

    components: str = "pixels"
    patch: int = Field(4, ge=1)
    fill: Literal["gaussian", "constant", "mean", "blur", "inpainter", "phi_gt"] = "gaussian"
    fill_value: float = 0.0
    fill_share: float = Field(1.0, gt=0, le=1)
    blur: float = Field(2.0, gt=0)


class MaskKeys(ComponentKeys):
    """What methods that mask samples share: one mask for each example, or for each class."""

    per: Literal["example", "class"] = "example"


class RdeKeys(MaskKeys):
    """Rate-distortion explanations and their named variants."""

    name: Literal["rde"]
    mask: Literal["concrete", "relaxed"] = "concrete"


class PursuitKeys(MaskKeys):
    """Matching pursuit: masks that grow component by component."""

    name: Literal["rde_pursuit"]


class LrpKeys(ComponentKeys):
    """Layer-wise relevance propagation; a `composite` is named, or lists {layers: rule} of which the first that fits
    counts."""

    name: Literal["lrp"]
    composite: str | list[dict[str, str]] = "alpha_beta"
    bias: Literal["absorb", "ignore", "spread"] = "absorb"
    bounds: list[float] | None = Field(None, min_length=2, max_length=2)


class SensitivityKeys(ComponentKeys):
    """Squared gradients."""

    name: Literal["sensitivity"]


class CaptumKeys(ComponentKeys):
    """What Captum attributes with, and every element of what it compares with."""

    name: Literal["attribution"]
    algorithm: Literal["saliency", "integrated_gradients", "guided_backprop", "occlusion"] = "saliency"
    baseline: float = 0.0


LayerNames = Annotated[list[str], Field(min_length=1)]
"""Names of a network's layers, of which the space chooses one."""


class CamKeys(ComponentKeys):
    """Class activation maps, of one of the `layers` (where they are not given, the last one with maps)."""

    name: Literal["cam"]
    named: ClassVar[dict[str, str]] = {"layer": "method.layers"}
    layers: LayerNames | None = None


class CentreBoxKeys(ComponentKeys):
    """The middle of every image."""

    name: Literal["centre_box"]


class PerturbationKeys(ComponentKeys):
    """Meaningful perturbation: masks of `mask_size` × `mask_size`, and the score that they make small."""

    name: Literal["meaningful_perturbation"]
    mask_size: int = Field(28, ge=1)
    score: Literal["softmax", "logit"] = "softmax"


class GfiKeys(ComponentKeys):
    """Guided feature inversion: `layers` l that are inverted, `guides` l₁ whose maps masks are made of (where they are
    not given, the last layer with maps), and its named variants."""

    name: Literal["gfi"]
    named: ClassVar[dict[str, str]] = {"layer": "method.layers", "guide": "method.guides"}
    layers: LayerNames | None = None
    guides: LayerNames | None = None
    norm: Literal["l1", "squared"] = "l1"
    score: Literal["logit", "softmax"] = "logit"
    error: Literal["sum", "relative"] = "sum"


class GanKeys(OfMethod):
    """Generators of classes: ProbeGAN, its naive baseline, its oracle, a conditional GAN, and a search in one.

    `trained` is the generator that `biggan_am` searches in, and in a winner's file the one that `explain` makes images
    with; other sweeps train their own.
    """

    name: Literal["probegan", "probegan_naive", "probegan_oracle", "biggan", "biggan_am"]
    named: ClassVar[dict[str, str]] = {"classifier": "models.classifiers"}
    trained: str | None = None


MethodKeys = Annotated[
    AmKeys
    | AmInputKeys
    | RdeKeys
    | PursuitKeys
    | LrpKeys
    | SensitivityKeys
    | CaptumKeys
    | CamKeys
    | CentreBoxKeys
    | PerturbationKeys
    | GfiKeys
    | GanKeys,
    Field(discriminator="name"),
]
"""The method and its named variants (METHODS of the documentation); a bare string is its `name`."""

MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")]
"""What a sweep that compares methods calls one of them; in its space, hyper-parameters of that one stand below it."""


def _by_name(choice: Any) -> Any:
    """Methods by name: those of a list, and those that do not say theirs, are called as raysweep calls them."""
    if isinstance(choice, list):
        names = [one.get("name") if isinstance(one, dict) else one for one in choice]
        if len(set(map(str, names))) < len(names):
            raise ValueError("must not list a method twice; write a mapping, which gives each a name of its own")
        choice = dict(zip(map(str, names), choice, strict=True))
    if not isinstance(choice, dict):
        return choice
    return {name: {"name": name} | one if isinstance(one, dict) else one or name for name, one in choice.items()}


class SeveralKeys(Keys):
    """Several methods, of which each trial runs one: a list of them, or a mapping from name to method."""

    choice: Annotated[
        dict[MethodName, Annotated[MethodKeys, short("name")]], BeforeValidator(_by_name), Field(min_length=1)
    ]
