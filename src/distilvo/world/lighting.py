"""Light of a street: where the sun stands, the colours of sun and sky, clouds, fog and the camera's response."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError

Colour = tuple[float, float, float]
LOWEST_SUN = 0.1
CONTRAST = 0.35  # share of the S-curve that a camera lays over its response


@dataclass(frozen=True)
class Light:
    """One time of day and weather. Colours are linear RGB; a white wall under ``ambient`` 1.0 has radiance 1.0.

    Attributes:
        sun: unit vector towards the sun in the world frame; shadows get too long below z = 0.1.
        sun_colour: light of the sun on a surface that faces it.
        ambient: light of the sky on a surface that looks up.
        zenith, horizon: sky colours overhead and at the horizon; fog has the horizon's colour.
        cloud_colour: colour of the clouds.
        cloud_cover: 0 (clear) to 1 (closed).
        cloud_shift: where the clouds stand, in images of the cloud texture.
        glow: brightness of the halo around the sun.
        fog: extinction per metre.
        exposure: factor on radiance before the response curve.
        saturation: 1 keeps the colours, 0 makes them grey.
        gamma: the response curve's exponent; 2.2 is neutral, less is contrasty and dark.
    """

    sun: Colour
    sun_colour: Colour
    ambient: Colour
    zenith: Colour
    horizon: Colour
    cloud_colour: Colour
    cloud_cover: float
    cloud_shift: tuple[float, float]
    glow: float
    fog: float
    exposure: float
    saturation: float
    gamma: float

    def __post_init__(self) -> None:
        norm = float(np.linalg.norm(self.sun))
        if not (abs(norm - 1) < 1e-6 and self.sun[2] >= LOWEST_SUN):
            raise DistilvoError(f"light: sun is {self.sun}, expected a unit vector with z of at least {LOWEST_SUN}")
        if not 0 <= self.saturation <= 1:
            raise DistilvoError(f"light: saturation is {self.saturation}, expected 0 to 1")

    def response(self) -> NDArray[np.uint8]:
        """(2048,) uint8: the display value of radiance (i / 1024) ** 2."""
        radiance = (np.arange(2048) / 1024.0) ** 2
        display = (1 - np.exp(-self.exposure * radiance)) ** (1 / self.gamma)
        display += CONTRAST * (display * display * (3 - 2 * display) - display)
        return np.round(255 * display).astype(np.uint8)


def _scaled(colour: NDArray[np.float64], factor: float = 1.0) -> Colour:
    r, g, b = (float(c) for c in np.clip(np.asarray(colour) * factor, 0.0, None))
    return r, g, b


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: about half sunny, a third cloudy or closed, the rest dusk with a low, warm sun."""
    mood = rng.random()
    dusk, closed = mood < 0.18, mood > 0.75
    elevation = np.radians(rng.uniform(10, 17) if dusk else rng.uniform(20, 62))
    azimuth = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    cover = rng.uniform(0.75, 1.0) if closed else rng.uniform(0.0, 0.7)
    grey = cover**2
    strength = rng.uniform(0.0, 0.3) if closed else rng.uniform(1.7, 2.9) * (1 - 0.4 * cover)
    warmth = np.clip(1.15 - elevation / 0.9, 0.0, 1.0) * rng.uniform(0.6, 1.0) * (1 - grey)
    level = rng.uniform(0.55, 0.8) if dusk else 1.0
    blue = np.array([0.15, 0.29, 0.60]) * rng.uniform(0.75, 1.2)
    zenith = (1 - grey) * blue + grey * rng.uniform(0.7, 1.0) * np.array([0.50, 0.53, 0.57])
    haze = (1 - grey) * np.array([0.52, 0.63, 0.76]) + grey * np.array([0.62, 0.65, 0.68])
    horizon = haze * (1 - warmth * np.array([-0.14, 0.06, 0.28]))
    ambient = (0.95 + 0.25 * grey) * 0.5 * (0.35 * zenith / zenith.mean() + 0.65 * np.array([1.02, 1.0, 0.98]))
    brightness = strength * 0.55 + ambient.mean()
    return Light(
        sun=(float(sun[0]), float(sun[1]), float(sun[2])),
        sun_colour=_scaled(1 - warmth * np.array([0.0, 0.22, 0.50]), strength * level),
        ambient=_scaled(ambient, level),
        zenith=_scaled(zenith, level * brightness / 1.5),
        horizon=_scaled(horizon, level * brightness / 1.5),
        cloud_colour=_scaled(np.array([0.92, 0.94, 0.97]) * (1 - 0.3 * grey), level * brightness / 1.5),
        cloud_cover=float(cover),
        cloud_shift=(float(rng.random()), float(rng.random())),
        glow=float((1 - grey) * rng.uniform(0.3, 1.2)),
        fog=float(np.exp(rng.uniform(np.log(0.0004), np.log(0.0028)))),
        exposure=float(2.0 / (level * brightness) * np.exp(rng.normal(0, 0.18))),
        saturation=float(rng.uniform(0.6, 0.95)),
        gamma=float(rng.uniform(1.9, 2.3)),
    )
