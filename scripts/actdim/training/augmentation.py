"""Random crops, flips and rotations of images on the device."""

import torch
from torch.nn.functional import pad


def augment(images, padding, offsets, flips=None, angles=None):
    """Return uint8 images (n, channels, height, width) cut out of black surroundings, flipped, then rotated.

    padding: pixels of black on every side; offsets: (n, 2) the window's upper left corner; flips: (n,) bool, left to
    right; angles: (n,) radians counterclockwise about the center, each pixel the nearest of the source and black
    outside it. The same as torchvision's RandomCrop, RandomHorizontalFlip and RandomRotation in turn.
    """
    n, channels, height, width = images.shape
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    inside = None
    if angles is not None:
        cos, sin = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
        from_center_y, from_center_x = y - (height - 1) / 2, x - (width - 1) / 2
        y = (sin * from_center_x + cos * from_center_y + (height - 1) / 2).round().long()
        x = (cos * from_center_x - sin * from_center_y + (width - 1) / 2).round().long()
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).unsqueeze(1)
        y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    if flips is not None:
        x = torch.where(flips.view(-1, 1, 1), width - 1 - x, x)
    rows, columns = y + offsets[:, 0].view(-1, 1, 1), x + offsets[:, 1].view(-1, 1, 1)
    image = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    altered = pad(images, [padding] * 4)[image, channel, rows.unsqueeze(1), columns.unsqueeze(1)]
    return altered if inside is None else altered * inside
