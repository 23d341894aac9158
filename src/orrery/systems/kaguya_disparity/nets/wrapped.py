"""Networks that take more than one tensor, as ones that take planes, so that all are trained, exported and applied alike."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from orrery.distributed import whole
from orrery.systems.kaguya_disparity.nets.igev import IgevStereo, turned, turned_back
from orrery.systems.kaguya_disparity.nets.igev_losses import sequence_loss
from orrery.systems.kaguya_disparity.nets.igev_subpixel import SubpixelIgev
from orrery.systems.kaguya_disparity.nets.palette import PaletteUNet
from orrery.systems.kaguya_disparity.nets.params import IgevParams, PaletteParams, SubpixelIgevParams

# Brightness 0 to 255 of what is a plane of mean 0 and unit size: the published network was made for pictures.
PICTURE_LEVEL, PICTURE_CONTRAST = 127.5, 42.5


class ToldNoise(nn.Module):
    """A Palette network that takes gamma as the last plane of its input, and may work on blocks of 2 x 2 pixels.

    Args:
        planes: of the pair.
        options: of the network.
    """

    def __init__(self, planes: int, options: PaletteParams) -> None:
        super().__init__()
        self.block = 2 if options.half_resolution else 1
        squared = self.block**2
        self.unet = PaletteUNet(
            (planes + 1) * squared,
            squared,
            options.width,
            dropout=options.dropout,
            embedding=options.embedding,
        )

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, planes + 2, H, W), the last two the noised residual and gamma, to (N, 1, H, W)."""
        gamma = planes[:, -1].mean((1, 2))
        folded = functional.pixel_unshuffle(planes[:, :-1], self.block)
        out: Tensor = functional.pixel_shuffle(self.unet(folded, gamma), self.block)
        return out


class PublishedIgev(nn.Module):
    """The published stereo network on a rectified pair: left and right planes to a residual along rows, px.

    Its disparities begin at 0, so that half of the residuals are out of its reach: that is how the paper ran it.
    """

    def __init__(self, options: IgevParams) -> None:
        super().__init__()
        self.stereo = IgevStereo(
            options.max_disparity_px // 4,
            options.width_percent / 100,
            options.training_iterations,
            options.iterations,
        )

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, 2, H, W) to (N, 1, H, W) px, the last iterate."""
        return turned_back(self.stereo(*_pictures(planes)))

    def loss(self, planes: Tensor, target_px: Tensor, valid: Tensor, scale_px: Tensor) -> Tensor:
        """The published loss, in px; that residuals are hundredths of what it was made for is the point of this variant."""
        outputs, initials = self.stereo.iterates(*_pictures(planes))
        parts = ([turned_back(each) for each in outputs], [turned_back(each) for each in initials])
        return sequence_loss(*whole((*parts, target_px, valid > 0)))


class SignedIgev(nn.Module):
    """The signed, sub-pixel network on a rectified pair: left and right planes to a residual along rows, px."""

    def __init__(self, options: SubpixelIgevParams) -> None:
        super().__init__()
        self.stereo = SubpixelIgev(options.width, options.hidden, options.iterations)

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, 2, H, W) to (N, 1, H, W) px, the last iterate."""
        left, right = planes.chunk(2, 1)
        out: Tensor = self.stereo(left, right)
        return out

    def loss(self, planes: Tensor, target_px: Tensor, valid: Tensor, scale_px: Tensor) -> Tensor:
        """Absolute errors of all iterates over the residual's expected deviation, (N, 1, 1, 1) px."""
        left, right = planes.chunk(2, 1)
        outputs, initials = self.stereo.iterates(left, right)
        parts = ([each / scale_px for each in outputs], [each / scale_px for each in initials])
        return sequence_loss(*whole((*parts, target_px / scale_px, valid > 0)), smooth=False)


def _pictures(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right image as 8-bit brightness, the track along rows turned to columns."""
    left, right = (planes * PICTURE_CONTRAST + PICTURE_LEVEL).clamp(0, 255).chunk(2, 1)
    return turned(left), turned(right)
