"""Light of a street: where the sun stands, the colours of sun and sky, clouds, fog and the camera's response."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError

Colour = tuple[float, float, float]
LOWEST_SUN = 0.087  # 5 degrees


@dataclass(frozen=True)
class Light:
    """One time of day and weather. Colours are linear RGB; a white wall under ``ambient`` 1.0 has radiance 1.0.

    Attributes:
        sun: unit vector towards the sun in the world frame; shadows get too long below z = 0.087.
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
        contrast: share of the S-curve that the camera lays over its response, 0 to 1.
        shoulder: 1 brings highlights gently to white, 0 clips them.
        lift: display value of black, 0 to 1.
        wet: water on the ground, 0 (dry) to 1 (it mirrors).
        headlights: light of the own headlights 5 m ahead, as a multiple of ``ambient``; 0 by day.
        lamps: radiance of street lamps, other cars' lamps and lit windows; 0 by day.
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
    contrast: float = 0.35
    shoulder: float = 1.0
    lift: float = 0.0
    wet: float = 0.0
    headlights: float = 0.0
    lamps: float = 0.0

    def __post_init__(self) -> None:
        norm = float(np.linalg.norm(self.sun))
        if not (abs(norm - 1) < 1e-6 and self.sun[2] >= LOWEST_SUN):
            raise DistilvoError(f"light: sun is {self.sun}, expected a unit vector with z of at least {LOWEST_SUN}")
        for name in ("saturation", "contrast", "shoulder", "lift", "wet"):
            if not 0 <= getattr(self, name) <= 1:
                raise DistilvoError(f"light: {name} is {getattr(self, name)}, expected 0 to 1")

    def response(self) -> NDArray[np.uint8]:
        """(2048,) uint8: the display value of radiance (i / 1024) ** 2."""
        light = self.exposure * (np.arange(2048) / 1024.0) ** 2
        display = np.minimum(1.0, self.shoulder * (1 - np.exp(-light)) + (1 - self.shoulder) * light)
        display **= 1 / self.gamma
        display += self.contrast * (display * display * (3 - 2 * display) - display)
        return np.round(255 * (self.lift + (1 - self.lift) * display)).astype(np.uint8)

    def weather(self) -> NDArray[np.float64]:
        """(7,) what the shading needs: cloud cover, shift east, shift north, glow, wet, headlights, lamps."""
        return np.array([self.cloud_cover, *self.cloud_shift, self.glow, self.wet, self.headlights, self.lamps])


def _scaled(colour: NDArray[np.float64], factor: float = 1.0) -> Colour:
    r, g, b = (float(c) for c in np.clip(np.asarray(colour) * factor, 0.0, None))
    return r, g, b


def sample_light(rng: np.random.Generator, ahead: float = 0.0) -> Light:
    """Draw light, weather and the camera's response.

    Of all streets 6 % lie in the night, 12 % have a sun at 5 to 15 degrees, mostly in front of a car that drives
    towards ``ahead`` (radians from east to north), 10 % are wet by day. Of the rest about half are sunny, many of them
    with hard shadows, a third cloudy or closed and some at dusk.
    """
    own = rng.spawn(1)[0]  # new draws leave the older ones, and all that follow them, as they are
    light, kind = _by_day(rng), own.random()
    if kind < 0.06:
        light = _night(light, own)
    elif kind < 0.18:
        light = _low_sun(light, own, ahead)
    elif kind < 0.28:
        light = replace(light, wet=own.uniform(0.4, 1.0))
    elif kind < 0.65 and light.sun_colour[0] > 1.0:
        light = replace(light, ambient=_scaled(np.array(light.ambient), own.uniform(0.4, 0.8)))
    return _developed(light, own)


def _night(light: Light, rng: np.random.Generator) -> Light:
    """Moonlight, the glow of a town, and lamps."""
    glow = rng.uniform(0.02, 0.06)
    orange = np.array([1.15, 1.0, 0.8]) ** rng.uniform(0.0, 1.5)
    return replace(
        light,
        sun_colour=(0.01, 0.012, 0.015),
        ambient=_scaled(orange, glow),
        zenith=_scaled(orange, 0.15 * glow),
        horizon=_scaled(orange, rng.uniform(0.3, 0.9) * glow),
        cloud_colour=_scaled(orange, 0.5 * glow),
        glow=0.0,
        exposure=light.exposure * rng.uniform(0.8, 2.0),
        wet=rng.uniform(0.4, 1.0) if rng.random() < 0.25 else 0.0,
        headlights=rng.uniform(1.0, 3.0) / glow,
        lamps=rng.uniform(0.5, 1.0),
    )


def _low_sun(light: Light, rng: np.random.Generator, ahead: float) -> Light:
    """A bright, warm sun close to the horizon; the sky around it is white."""
    elevation = np.radians(rng.uniform(5.0, 15.0))
    azimuth = ahead + rng.normal(0.0, 0.3) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    flat = np.cos(elevation)
    strength = rng.uniform(2.5, 4.5)
    return replace(
        light,
        sun=(float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation))),
        sun_colour=_scaled(np.array([1.0, 0.86, 0.66]), strength),
        ambient=_scaled(np.array(light.ambient) / np.mean(light.ambient), rng.uniform(0.2, 0.4)),
        cloud_cover=min(light.cloud_cover, 0.5),
        glow=rng.uniform(1.5, 4.0),
        exposure=light.exposure * rng.uniform(0.9, 1.8),
        wet=rng.uniform(0.3, 0.8) if rng.random() < 0.15 else 0.0,
    )


def _developed(light: Light, rng: np.random.Generator) -> Light:
    """The light through the response of one of many cameras: hard as KITTI's grey ones, usual, or flat and bright."""
    kind, gain = rng.random(), rng.normal(0.0, 1.0)
    if light.lamps:  # in the dark no camera clips black
        kind = 0.4 + 0.6 * kind
    if kind < 0.4:
        gamma, contrast, shoulder = rng.uniform(1.25, 1.8), rng.uniform(0.2, 0.8), rng.uniform(0.0, 0.4)
        exposure, lift = 1.1 * np.exp(0.25 * gain), rng.uniform(0.0, 0.03)
    elif kind < 0.75:
        gamma, contrast, shoulder = rng.uniform(1.7, 2.3), rng.uniform(0.15, 0.55), rng.uniform(0.3, 1.0)
        exposure, lift = np.exp(0.2 * gain), rng.uniform(0.0, 0.06)
    else:
        gamma, contrast, shoulder = rng.uniform(2.0, 2.7), rng.uniform(0.0, 0.2), rng.uniform(0.5, 1.0)
        exposure, lift = np.exp(0.25 * gain), rng.uniform(0.0, 0.14)
    return replace(
        light, gamma=gamma, contrast=contrast, shoulder=shoulder, lift=lift, exposure=light.exposure * float(exposure)
    )


def _by_day(rng: np.random.Generator) -> Light:
    """About half sunny, a third cloudy or closed, the rest dusk with a low, warm sun."""
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
