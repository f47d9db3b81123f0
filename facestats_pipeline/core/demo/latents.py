"""The latent factors of a demo face: its truth, sampled before a pixel is drawn.

Shape factors are in standard deviations of adults (0 = average), surface factors between 0 and 1. Populations differ by overlapping
distributions only: no factor encodes a class, and the appeal never reads gender, ethnicity or age.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

GENDERS = ("Female", "Male")

# Means of (skin tone, hair darkness, hair curl, eyelid fold, nose width, nose bridge, lip fullness, brow weight, cheek width). They are
# coarse on purpose: the spread in `sample_latents` is as wide as the differences between populations, as it is among people.
_POPULATIONS: dict[str, tuple[float, ...]] = {
    "White": (0.13, 0.58, 0.22, 0.08, -0.4, 0.5, -0.4, -0.1, -0.1),
    "Black": (0.80, 0.96, 0.90, 0.12, 1.0, -0.4, 1.0, 0.0, 0.0),
    "Latino_Hispanic": (0.37, 0.86, 0.28, 0.18, 0.2, 0.0, 0.2, 0.2, 0.2),
    "East Asian": (0.21, 0.95, 0.06, 0.78, 0.0, -0.6, -0.1, -0.2, 0.5),
    "Southeast Asian": (0.43, 0.95, 0.12, 0.58, 0.5, -0.6, 0.3, -0.1, 0.4),
    "Indian": (0.58, 0.96, 0.26, 0.08, 0.1, 0.1, 0.2, 0.5, -0.1),
    "Middle Eastern": (0.31, 0.88, 0.36, 0.08, 0.0, 0.8, 0.0, 0.7, 0.0),
}
ETHNICITIES = tuple(_POPULATIONS)
BACKGROUNDS = ("studio", "wall", "garden", "indoor", "street", "sky")
CLOTHES = ("tee", "shirt", "jumper", "vneck", "suit", "hoodie")


@dataclass(frozen=True, slots=True)
class FaceLatents:
    """Everything `draw_face` needs. SD: standard deviations around an average adult. Angles are in degrees, other numbers 0–1."""

    gender: str
    ethnicity: str  # one of FairFace's seven
    age: float  # years
    face_width: float  # SD
    jaw_width: float  # SD
    chin_length: float  # SD
    weight: float  # SD, fullness of cheeks and neck
    brow_weight: float  # SD
    brow_height: float  # SD
    eye_size: float  # SD
    eye_spacing: float  # SD
    eye_tilt: float  # SD, positive: outer corner higher
    eyelid_fold: float  # 0 open crease … 1 the upper lid covers its crease
    nose_width: float  # SD
    nose_length: float  # SD
    nose_bridge: float  # SD
    lip_fullness: float  # SD
    mouth_width: float  # SD
    skin_tone: float  # 0 lightest … 1 darkest
    skin_warmth: float  # -1 pink … 1 golden
    skin_evenness: float  # 0 blotched … 1 even
    freckles: float
    eye_darkness: float  # 0 light blue or green … 1 dark brown
    hair_darkness: float  # 0 blond … 1 black
    hair_red: float
    grey: float  # share of grey hair
    hair_length: float  # 0 shaved … 1 below the shoulders
    hair_curl: float  # 0 straight … 1 coils
    hair_volume: float
    hair_part: float  # -1 … 1, where it is parted
    fringe: float
    tied: bool  # long hair worn up
    recession: float  # 0 full hairline … 1 bald on top
    beard: float  # 0 shaven … 1 full
    makeup: float
    glasses: bool
    smile: float  # 0 closed, serious … 1 wide, with teeth
    symmetry: float  # 0 … 1 perfect
    yaw: float  # degrees, positive: the face turns to the viewer's right
    pitch: float  # degrees, positive: chin down
    roll: float  # degrees, positive: clockwise in the picture
    light_azimuth: float  # degrees, positive: from the viewer's right
    light_elevation: float  # degrees above the horizon
    light_softness: float  # 0 hard … 1 flat
    light_warmth: float  # -1 blue … 1 orange
    exposure: float  # stops
    background: str
    clothes: str
    clothes_hue: float
    clothes_value: float
    zoom: float  # length of half a head (eyes to chin) as a share of the shorter side of the photo
    texture: int  # seed of what no label depends on: pores, strands, folds

    @property
    def appeal(self) -> float:
        """The true rating, 1–5: 1 + 4 × (0.6 smile + 0.25 skin evenness + 0.15 symmetry).

        It uses only what the picture shows and ignores gender, ethnicity, age and shape: a bias audit of a good model finds no gap.
        """
        return 1 + 4 * (0.6 * self.smile + 0.25 * self.skin_evenness + 0.15 * self.symmetry)


def sample_latents(rng: np.random.Generator, **fixed: Any) -> FaceLatents:
    """Sample one face. `fixed` sets factors (`age=30.0`) before those that depend on them are sampled."""
    gender = fixed.get("gender") or str(rng.choice(GENDERS))
    ethnicity = fixed.get("ethnicity") or str(rng.choice(ETHNICITIES))
    age = float(fixed.get("age", _sample_age(rng)))
    tone, darkness, curl, fold, nose_width, bridge, lips, brows, cheeks = _POPULATIONS[ethnicity]
    male = gender == "Male"
    grown = _ramp(age, 9, 18)  # children differ little by gender
    sex = (1.0 if male else -1.0) * (0.35 + 0.65 * grown)
    normal = rng.normal
    red = float(rng.random() < 0.12 and ethnicity == "White")
    straightened = not male and curl > 0.5 and rng.random() < 0.3
    balding = male and grown == 1 and rng.random() < 0.15 + 0.6 * _ramp(age, 25, 75)
    recession = float(rng.beta(2, 1.4)) if balding else float(rng.beta(1, 8)) * 0.4
    long_hair = recession < 0.4 and rng.random() < (0.07 if male else 0.88 - 0.35 * _ramp(age, 50, 85))
    bearded = male and age > 19 and rng.random() < 0.5
    values: dict[str, Any] = {
        "gender": gender,
        "ethnicity": ethnicity,
        "age": round(age, 1),
        "face_width": normal(cheeks * 0.7, 0.9),
        "jaw_width": normal(0.85 * sex, 0.7),
        "chin_length": normal(0.35 * sex, 0.8),
        "weight": normal(0.15 + 0.3 * _ramp(age, 30, 55), 0.8),
        "brow_weight": normal(0.9 * sex + 0.7 * brows, 0.6),
        "brow_height": normal(-0.6 * sex, 0.7),
        "eye_size": normal(-0.45 * sex, 0.7),
        "eye_spacing": normal(0.0, 0.8),
        "eye_tilt": normal(-0.25 * sex + 0.5 * fold, 0.7),
        "eyelid_fold": _share(normal(fold, 0.14)),
        "nose_width": normal(nose_width + 0.25 * sex, 0.6),
        "nose_length": normal(0.3 * sex, 0.8),
        "nose_bridge": normal(bridge, 0.6),
        "lip_fullness": normal(lips - 0.35 * sex, 0.6),
        "mouth_width": normal(0.2 * sex, 0.8),
        "skin_tone": _share(normal(tone, 0.09)),
        "skin_warmth": float(np.clip(normal(0.1, 0.45), -1, 1)),
        "skin_evenness": float(rng.beta(1.5, 1.1)),
        "freckles": float(rng.beta(1, 3)) * _ramp(0.5 - tone, 0, 0.4),
        "eye_darkness": _share(normal(0.35, 0.3)) if ethnicity == "White" else _share(normal(0.85, 0.13)),
        "hair_darkness": _share(normal(darkness, 0.24 * (1 - darkness) + 0.03)),
        "hair_red": red * float(rng.uniform(0.4, 1)),
        "grey": _share(_ramp(age + normal(0, 7), 40, 76)) * (0.45 if not male and rng.random() < 0.4 else 1.0),
        "hair_length": float(rng.uniform(0.5, 1.0) if long_hair else rng.uniform(0.05, 0.34) + (0 if male else 0.08)),
        "hair_curl": _share(normal(0.3 if straightened else curl, 0.14)),
        "hair_volume": float(rng.beta(2, 2)),
        "hair_part": float(rng.uniform(-1, 1)),
        "fringe": float(rng.random() < (0.12 if male else 0.25)) * float(rng.uniform(0.5, 1)),
        "tied": bool(long_hair and rng.random() < 0.25),
        "recession": recession,
        "beard": float(rng.beta(1.2, 1.0)) if bearded else 0.0,
        "makeup": 0.0 if male else float(rng.beta(1.5, 1.6)) * _ramp(age, 13, 20),
        "glasses": bool(rng.random() < 0.1 + 0.22 * _ramp(age, 30, 70)),
        "smile": float(rng.beta(0.75, 0.85)),
        "symmetry": float(rng.beta(2.2, 1.1)),
        "yaw": float(np.clip(normal(0, 10), -26, 26)),
        "pitch": float(np.clip(normal(0, 4.5), -12, 12)),
        "roll": float(np.clip(normal(0, 4.5), -14, 14)),
        "light_azimuth": normal(0, 38),
        "light_elevation": float(np.clip(normal(32, 14), 0, 65)),
        "light_softness": float(rng.beta(1.8, 1.6)),
        "light_warmth": float(np.clip(normal(0.05, 0.4), -1, 1)),
        "exposure": float(np.clip(normal(0, 0.28), -0.8, 0.6)),
        "background": str(rng.choice(BACKGROUNDS)),
        "clothes": _clothes(rng, male, age),
        "clothes_hue": float(rng.random()),
        "clothes_value": float(rng.random()),
        "zoom": float(rng.uniform(0.25, 0.36)),
        "texture": int(rng.integers(2**31)),
    }
    return FaceLatents(**{**values, **fixed})


def _sample_age(rng: np.random.Generator) -> float:
    """Years. Children and the old are rarer, as in photo collections, but each of FairFace's nine age bins occurs."""
    edges = (0.5, 3, 10, 20, 30, 40, 50, 60, 70, 90)
    chosen = int(rng.choice(9, p=(0.04, 0.10, 0.12, 0.18, 0.16, 0.13, 0.11, 0.09, 0.07)))
    return float(rng.uniform(edges[chosen], edges[chosen + 1]))


def _clothes(rng: np.random.Generator, male: bool, age: float) -> str:
    if age < 14:
        return str(rng.choice(("tee", "jumper", "hoodie")))
    return str(rng.choice(CLOTHES, p=(0.2, 0.2, 0.15, 0.1, 0.22, 0.13) if male else (0.2, 0.14, 0.18, 0.28, 0.1, 0.1)))


def _ramp(x: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _share(x: float) -> float:
    return float(min(max(x, 0.0), 1.0))
